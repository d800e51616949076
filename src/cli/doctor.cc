#include "cli/doctor.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "base/machine.h"
#include "config/flags.h"

namespace nereid::cli {
namespace {

namespace fs = std::filesystem;

class Report {
 public:
  void Good(std::string_view what) { fmt::print("ok    {}\n", what); }
  void Note(std::string_view what) { fmt::print("note  {}\n", what); }
  void Bad(std::string_view what, std::string_view mend) {
    fmt::print("BAD   {}\n      {}\n", what, mend);
    ++bad_;
  }
  int bad() const { return bad_; }

 private:
  int bad_ = 0;
};

void CheckPort(Report& report, std::string_view name, const std::string& address, int port) {
  if (port == 0) return report.Good(fmt::format("{}: any free port", name));
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  bool known = ::inet_pton(AF_INET, address.c_str(), &where.sin_addr) == 1;
  int error = !known ? 0 : ::bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0 ? 0 : errno;
  ::close(fd);
  if (error == EADDRINUSE)
    return report.Bad(fmt::format("{}: {}:{} is in use", name, address, port),
                      "stop the process that has it (ss -ltnp), or choose another port");
  if (error != 0)
    return report.Bad(fmt::format("{}: {}:{} cannot be used: {}", name, address, port, std::strerror(error)),
                      "choose another address or port");
  report.Good(fmt::format("{}: {}:{} is free", name, address, port));
}

void CheckRepository(Report& report, const std::string& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    return report.Bad(fmt::format("model repository '{}' is no folder that can be read", folder), "create it, or mend --model-repository");
  int models = 0;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!entry.is_directory(error)) continue;
    ++models;
    bool version = false;
    for (const auto& inner : fs::directory_iterator(entry.path(), error)) {
      std::string name = inner.path().filename().string();
      version = version || (inner.is_directory(error) && name.find_first_not_of("0123456789") == std::string::npos);
    }
    if (!version)
      report.Bad(fmt::format("model '{}' has no version folder", entry.path().filename().string()),
                 fmt::format("put its file into {}/1/", entry.path().string()));
  }
  report.Good(fmt::format("model repository '{}' has {} models", folder, models));
}

void CheckState(Report& report, const std::string& folder) {
  fs::path there = folder;
  std::error_code error;
  while (!there.empty() && !fs::exists(there, error) && there.has_parent_path() && there != there.parent_path())
    there = there.parent_path();
  if (::access(there.c_str(), W_OK) != 0)
    return report.Bad(fmt::format("the state folder '{}' cannot be written", folder),
                      "make it writable for this user, or choose another with --state-folder");
  struct statvfs disk{};
  if (::statvfs(there.c_str(), &disk) == 0) {
    std::uint64_t free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    if (free < (std::uint64_t{512} << 20))
      return report.Bad(fmt::format("the disk of '{}' has only {} MiB left", folder, free >> 20),
                        "the ledger needs room: free at least 512 MiB");
    report.Good(fmt::format("the state folder '{}' can be written, {} GiB are free", folder, free >> 30));
  }
}

void CheckMachine(Report& report) {
  Machine machine = ReadMachine();
  report.Good(fmt::format("{} cores and {} MiB of memory may be used", machine.cores, machine.memory_bytes >> 20));
  if (machine.memory_bytes < (std::uint64_t{256} << 20))
    report.Bad("less than 256 MiB of memory may be used", "raise the limit of the container or the cgroup");
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 4096)
    report.Note(fmt::format("only {} open files are allowed: that bounds the connections (ulimit -n 65536 raises it)", files.rlim_cur));
  else report.Good(fmt::format("{} open files are allowed", files.rlim_cur));
}

}  // namespace

int DoctorMain(int argc, char** argv) {
  auto options = ParseFlags(std::vector<std::string>(argv + 2, argv + argc), false);
  if (!options) {
    fmt::print("BAD   the configuration cannot be read\n{}\n", options.error().message);
    return 1;
  }
  if (options->early_exit) {
    fmt::print("usage: nereid doctor [flags of serve]\n\n{}", options->early_exit->text);
    return 0;
  }
  const Config& config = options->config;
  Report report;
  report.Good("the configuration can be read");
  for (const std::string& warning : options->warnings) report.Note(warning);
  if (config.server.http.enabled) CheckPort(report, "HTTP", config.server.http.address, config.server.http.port);
  if (config.server.grpc.enabled) CheckPort(report, "gRPC", config.server.grpc.address, config.server.grpc.port);
  if (config.server.metrics.enabled)
    CheckPort(report, "metrics", config.server.metrics.address.empty() ? config.server.http.address : config.server.metrics.address,
              config.server.metrics.port);
  if (config.models.repositories.empty()) report.Note("no model repository is given: only providers' models are served");
  for (const std::string& folder : config.models.repositories) CheckRepository(report, folder);
  for (const ProviderConfig& provider : config.providers) {
    for (const SecretRef& key : provider.keys) {
      if (auto secret = ReadSecret(key); !secret)
        report.Bad(fmt::format("provider '{}': {}", provider.name, secret.error().message),
                   fmt::format("set {} before the start", key.source));
      else report.Good(fmt::format("provider '{}': its key can be read from {}", provider.name, key.source));
    }
  }
  CheckState(report, StateFolder(config.server));
  CheckMachine(report);
  if (report.bad() > 0) fmt::print("{} to mend\n", report.bad());
  return report.bad() > 0 ? 1 : 0;
}

}  // namespace nereid::cli

#include "accounts/admin_key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "accounts/key_text.h"

namespace nereid::accounts {
namespace {

constexpr const char* kFileName = "admin.key";

}  // namespace

std::optional<std::string> ReadAdminKey(const std::filesystem::path& state_folder) {
  int descriptor = ::open((state_folder / kFileName).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  char text[256];
  ssize_t size = ::read(descriptor, text, sizeof(text));
  ::close(descriptor);
  std::string key(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  if (!ParseKey(key)) return std::nullopt;
  return key;
}

Result<Nothing> WriteAdminKey(const std::filesystem::path& state_folder, const std::string& key) {
  std::filesystem::path file = state_folder / kFileName, unfinished = file;
  unfinished += ".tmp";
  auto failed = [&] {
    return Error(Code::kInternal, fmt::format("cannot write {}: {}", file.string(), std::strerror(errno)), "admin_key");
  };
  int descriptor = ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return failed();
  std::string text = key + "\n";
  bool written = ::fchmod(descriptor, 0600) == 0 && ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                 ::fsync(descriptor) == 0;
  ::close(descriptor);
  if (!written || ::rename(unfinished.c_str(), file.c_str()) != 0) return failed();
  return Nothing{};
}

}  // namespace nereid::accounts

#include "backends/python/environment.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "base/log.h"
#include "proto/model_config.pb.h"

extern char** environ;

namespace nereid::python {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "nereid-python-";

// Folders are named by the server's pid, so that a later server sees which are left over.
void RemoveLeftOvers() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fs::temp_directory_path(error), error)) {
    std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    pid_t pid = 0;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), pid);
    if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), error);
  }
}

Result<Nothing> RunTar(const fs::path& archive, const fs::path& folder) {
  std::string from = archive.string(), to = folder.string();
  const char* arguments[] = {"tar", "--extract", "--file", from.c_str(), "--directory", to.c_str(), nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  pid_t pid = -1;
  int failed = ::posix_spawnp(&pid, "tar", &actions, nullptr, const_cast<char**>(arguments), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0)
    return Error(Code::kInternal, fmt::format("cannot start tar to unpack {}: {}", from, std::strerror(failed)), "no_environment");
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return Error(Code::kInternal, fmt::format("tar cannot unpack {} (see the log)", from), "no_environment");
  return Nothing{};
}

Result<std::string> PythonIn(const fs::path& folder) {
  for (const char* name : {"python3", "python"}) {
    if (fs::path python = folder / "bin" / name; ::access(python.c_str(), X_OK) == 0) return python.string();
  }
  return Error(Code::kInternal, fmt::format("the Python environment {} has no bin/python3 that can be executed", folder.string()),
               "no_environment");
}

void ReplaceAll(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) text.replace(at, what.size(), with);
}

}  // namespace

class Environments::Unpacked {
 public:
  explicit Unpacked(fs::path folder) : folder_(std::move(folder)) {}
  ~Unpacked() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Unpacked(const Unpacked&) = delete;
  Unpacked& operator=(const Unpacked&) = delete;
  const fs::path& folder() const { return folder_; }

 private:
  const fs::path folder_;
};

Environments::Environments(std::string executable) : executable_(std::move(executable)) {
  RemoveLeftOvers();
}

Result<std::shared_ptr<Environments::Unpacked>> Environments::Unpack(const fs::path& archive) {
  std::error_code error;
  std::string key = fmt::format("{} {} {}", archive.string(), fs::file_size(archive, error),
                                fs::last_write_time(archive, error).time_since_epoch().count());
  std::lock_guard lock(mutex_);  // another model that wants the same archive waits
  auto& held = unpacked_[key];
  if (auto there = held.lock()) return there;
  std::string folder = (fs::temp_directory_path() / fmt::format("{}{}-XXXXXX", kPrefix, ::getpid())).string();
  if (!::mkdtemp(folder.data()))
    return Error(Code::kInternal, fmt::format("cannot make a folder to unpack {}: {}", archive.string(), std::strerror(errno)),
                 "no_environment");
  auto made = std::make_shared<Unpacked>(folder);
  LOG_INFO("unpacking the Python environment {} into {}", archive.string(), folder);
  TRY_DO(RunTar(archive, folder));
  held = made;
  return made;
}

Result<Interpreter> Environments::For(const ModelFiles& files, const inference::ModelConfig& config) {
  auto parameter = config.parameters().find("EXECUTION_ENV_PATH");
  if (parameter == config.parameters().end() || parameter->second.string_value().empty()) return Interpreter{executable_, {}, nullptr};
  std::string text = parameter->second.string_value();
  ReplaceAll(text, "$$TRITON_MODEL_DIRECTORY", files.model_folder.string());
  fs::path path = files.model_folder / text;  // an absolute path stays as it is
  std::error_code error;
  Interpreter interpreter;
  if (fs::is_directory(path, error)) {
    interpreter.virtual_environment = fs::absolute(path);
  } else if (fs::is_regular_file(path, error)) {
    TRY(auto unpacked, Unpack(path));
    interpreter.virtual_environment = unpacked->folder();
    interpreter.unpacked = std::move(unpacked);
  } else {
    return Error(Code::kInternal, fmt::format("the parameter EXECUTION_ENV_PATH names {}, which is not there", path.string()),
                 "no_environment");
  }
  TRY(interpreter.executable, PythonIn(interpreter.virtual_environment));
  return interpreter;
}

std::vector<std::string> WorkerVariables(const fs::path& module_folder, const Interpreter& interpreter,
                                         const std::vector<std::string>& secret) {
  const std::string environment = interpreter.virtual_environment.string();
  std::vector<std::pair<std::string, std::string>> first{{"PYTHONPATH", module_folder.string()}};
  if (!environment.empty()) {
    first.emplace_back("PATH", environment + "/bin");
    first.emplace_back("LD_LIBRARY_PATH", environment + "/lib");
  }
  std::vector<std::string> out;
  for (char** each = environ; *each; ++each) {
    std::string_view text = *each;
    std::string_view name = text.substr(0, text.find('='));
    if (std::ranges::find(secret, name) != secret.end()) continue;
    if (!environment.empty() && (name == "PYTHONHOME" || name == "VIRTUAL_ENV")) continue;
    auto own = std::ranges::find(first, name, [](const auto& pair) { return std::string_view(pair.first); });
    if (own == first.end()) {
      out.emplace_back(text);
    } else if (std::string_view before = text.substr(std::min(text.size(), name.size() + 1)); !before.empty()) {
      own->second += fmt::format(":{}", before);
    }
  }
  for (const auto& [name, value] : first) out.push_back(fmt::format("{}={}", name, value));
  if (!environment.empty()) out.push_back("VIRTUAL_ENV=" + environment);
  return out;
}

}  // namespace nereid::python

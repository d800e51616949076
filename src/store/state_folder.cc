#include "store/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace nereid::store {
namespace {

namespace fs = std::filesystem;

// Parents get the usual mode, the folder itself is the owner's alone.
Result<Nothing> MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return Nothing{};
  return Error(Code::kInternal, fmt::format("cannot make the state folder {}: {}", folder.string(), std::strerror(errno)), "state_folder");
}

std::string HolderOf(int descriptor) {
  char text[32] = {};
  ssize_t size = ::pread(descriptor, text, sizeof(text) - 1, 0);
  std::string holder(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  return holder.empty() ? "unknown" : holder;
}

}  // namespace

Result<StateLock> StateLock::Acquire(const fs::path& folder) {
  TRY_DO(MakeFolder(folder));
  TRY_DO(MakeFolder(LedgerFolder(folder)));
  fs::path file = folder / "lock";
  int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return Error(Code::kInternal, fmt::format("cannot write to the state folder {}: {}", folder.string(), std::strerror(errno)),
                 "state_folder");
  }
  StateLock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    return Error(Code::kConflict, fmt::format("the state folder {} is in use by process {}", folder.string(), HolderOf(descriptor)),
                 "state_in_use");
  }
  std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(descriptor, 0) != 0 || ::pwrite(descriptor, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    // A full disk: the lock holds all the same, only the name of its holder is missing.
  }
  return lock;
}

StateLock::~StateLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool InUse(const fs::path& folder) {
  int descriptor = ::open((folder / "lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  bool held = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  return held;
}

fs::path LedgerFolder(const fs::path& state_folder) {
  return state_folder / "ledger";
}
fs::path DatabaseFile(const fs::path& state_folder) {
  return state_folder / "nereid.db";
}

}  // namespace nereid::store

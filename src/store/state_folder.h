// The folder that holds a server's state, and the right to write to it.
#pragma once

#include <filesystem>

#include "base/status.h"

namespace nereid::store {

// Held by one process at a time; given back when destroyed or when the process ends in any way.
class StateLock {
 public:
  // Makes the folder with mode 0700 if need be. kConflict names the process that holds it.
  static Result<StateLock> Acquire(const std::filesystem::path& folder);
  StateLock(StateLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  StateLock& operator=(StateLock&&) = delete;
  ~StateLock();

 private:
  explicit StateLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// Whether a process holds the folder now. Changes nothing.
bool InUse(const std::filesystem::path& folder);

std::filesystem::path LedgerFolder(const std::filesystem::path& state_folder);
std::filesystem::path DatabaseFile(const std::filesystem::path& state_folder);

}  // namespace nereid::store

// The end of patience at shutdown: a model's native call cannot be cut, so the process ends around it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/clock.h"

namespace nereid::server {

// Ends the process with code 1 at `at`, unless destroyed before. The ledger needs no more than the writes that were made.
class ExitLimit {
 public:
  explicit ExitLimit(SteadyTime at);
  ~ExitLimit();
  ExitLimit(const ExitLimit&) = delete;
  ExitLimit& operator=(const ExitLimit&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace nereid::server

// Wakes the engine thread, from any thread and from callbacks that may outlive the engine.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/clock.h"

namespace nereid::llama {

class Signal {
 public:
  void Raise() {
    {
      std::lock_guard lock(mutex_);
      raised_ = true;
    }
    wake_.notify_one();
  }
  // Returns when raised since the last wait, or at `until`.
  void Wait(SteadyTime until) {
    std::unique_lock lock(mutex_);
    auto raised = [this] { return raised_; };
    // Some libraries overflow when they convert the largest time point.
    if (until == SteadyTime::max()) {
      wake_.wait(lock, raised);
    } else {
      wake_.wait_until(lock, until, raised);
    }
    raised_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool raised_ = false;  // guarded by mutex_
};

}  // namespace nereid::llama

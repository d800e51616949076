// A named thread that runs jobs one after another and, between them, a tick.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"

namespace nereid::store {

class Worker {
 public:
  static constexpr std::size_t kQueueMax = 1024;

  // `tick` runs every `period` and after Wake; none: only jobs. `nice` above 0 yields to other threads while cores are scarce.
  Worker(std::string name, int nice, Millis period, std::function<void()> tick);
  ~Worker();  // Stop

  // Any thread. False when the queue is full or the worker stops: the job will not run.
  bool Post(std::function<void()> job);
  void Wake();
  // Runs what is queued, then ends the thread.
  void Stop();

 private:
  void Loop();

  const Millis period_;
  const std::function<void()> tick_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_; never longer than kQueueMax
  bool woken_ = false, stopping_ = false;   // guarded by mutex_
  std::thread thread_;
};

}  // namespace nereid::store

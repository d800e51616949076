// Calls back at a time. Setting it wakes no thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "api/infer.h"
#include "base/clock.h"

namespace nereid::models {

class Alarm {
 public:
  // `ring` runs on the home's thread, or on one of the alarm's own when there is no home. It may come once more than wanted, never while
  // the alarm is destroyed. `home` outlives the alarm.
  Alarm(Home* home, std::function<void()> ring);
  ~Alarm();

  // Any thread. The next ring is then, instead of what was set before.
  void Set(SteadyTime at);

 private:
  struct Shared;
  void Run();

  const std::shared_ptr<Shared> shared_;
  int timer_ = -1;               // a timerfd, with a home
  std::shared_ptr<void> watch_;  // with a home
  std::thread thread_;           // without one
};

}  // namespace nereid::models

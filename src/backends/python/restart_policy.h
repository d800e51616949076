// When a worker may be started again. Decides only.
#pragma once

#include <deque>

#include "base/clock.h"

namespace nereid::python {

// A worker that died is replaced at once; only one that cannot start, or dies again and again, is given a growing pause.
class RestartPolicy {
 public:
  static constexpr std::size_t kDeathsMost = 3;  // within kWindow
  static constexpr Nanos kWindow = std::chrono::seconds(10);
  static constexpr Nanos kFirstPause = std::chrono::seconds(1);
  static constexpr Nanos kLongestPause = std::chrono::seconds(30);

  void Died(SteadyTime now);
  void StartFailed(SteadyTime now);
  // No start before.
  SteadyTime next_start() const { return next_start_; }

 private:
  void Pause(SteadyTime now);

  std::deque<SteadyTime> deaths_;
  Nanos pause_{0};  // the last one
  SteadyTime next_start_{};
};

}  // namespace nereid::python

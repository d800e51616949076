#include "backends/python/restart_policy.h"

#include <algorithm>

namespace nereid::python {

void RestartPolicy::Died(SteadyTime now) {
  deaths_.push_back(now);
  while (now - deaths_.front() > kWindow) deaths_.pop_front();
  if (deaths_.size() >= kDeathsMost) {
    deaths_.clear();
    Pause(now);
  } else if (now - next_start_ > kLongestPause) {
    pause_ = Nanos(0);  // it has run well since
  }
}

void RestartPolicy::StartFailed(SteadyTime now) {
  Pause(now);
}

void RestartPolicy::Pause(SteadyTime now) {
  pause_ = pause_ == Nanos(0) ? kFirstPause : std::min(2 * pause_, kLongestPause);
  next_start_ = now + std::chrono::duration_cast<SteadyTime::duration>(pause_);
}

}  // namespace nereid::python

#include "backends/llama/thread_governor.h"

#include <algorithm>
#include <cstdlib>

namespace nereid::llama {
namespace {

constexpr int kGeneratingTokensMax = 16;  // steps up to here are governed
constexpr int kIntervalStepsMin = 8, kIntervalStepsMax = 512;
constexpr int kTrialSteps = 3, kComparableSteps = 4;
constexpr double kBetter = 0.85;     // of the steady duration, to be worth a change
constexpr double kHopeless = 1.5;    // ends a trial at its first step
constexpr double kSuddenlySlow = 2;  // times the best duration seen: try others now

}  // namespace

void ThreadGovernor::Mean::Add(Nanos duration) {
  count = std::min(count + 1, 8);
  ns += (static_cast<double>(duration.count()) - ns) / count;
}

ThreadGovernor::ThreadGovernor(int threads_max) : until_trial_(kIntervalStepsMin), interval_(kIntervalStepsMin) {
  for (int threads = std::max(threads_max, 1); threads > 0; threads /= 2) levels_.push_back(threads);
}

int ThreadGovernor::Threads(int tokens) const {
  bool trial = trial_ >= 0 && tokens <= kGeneratingTokensMax;
  return levels_[static_cast<std::size_t>(trial ? trial_ : level_)];
}

void ThreadGovernor::Took(int tokens, Nanos duration) {
  if (tokens > kGeneratingTokensMax || levels_.size() == 1) return;
  if (std::abs(tokens - tokens_) > std::max(1, tokens_ / 4)) {
    tokens_ = tokens;
    steady_ = tried_ = {};
    best_ns_ = 0;
    trial_ = -1;
  }
  if (trial_ >= 0) {
    tried_.Add(duration);
    if (tried_.ns > kHopeless * steady_.ns) {
      interval_ *= 2;  // it was dear as well
      EndTrial(false);
    } else if (tried_.count == kTrialSteps) {
      EndTrial(tried_.ns < kBetter * steady_.ns);
    }
    return;
  }
  steady_.Add(duration);
  if (steady_.count >= kComparableSteps && (best_ns_ == 0 || steady_.ns < best_ns_)) best_ns_ = steady_.ns;
  bool slow = best_ns_ > 0 && steady_.ns > kSuddenlySlow * best_ns_;
  if (slow) {
    best_ns_ = steady_.ns;  // once: should nothing be better, this is how it is now
    try_more_next_ = false;
  }
  --until_trial_;
  if ((until_trial_ <= 0 && steady_.count >= kComparableSteps) || slow) StartTrial();
}

void ThreadGovernor::StartTrial() {
  int last = static_cast<int>(levels_.size()) - 1;
  bool more = level_ == last || (level_ > 0 && try_more_next_);
  trial_ = more ? level_ - 1 : level_ + 1;
  try_more_next_ = !more;
  tried_ = {};
}

void ThreadGovernor::EndTrial(bool better) {
  if (better) {
    level_ = trial_;
    steady_ = {};
    best_ns_ = 0;
    interval_ = kIntervalStepsMin;
  } else {
    interval_ = std::min(interval_ * 2, kIntervalStepsMax);
  }
  until_trial_ = interval_;
  trial_ = -1;
}

}  // namespace nereid::llama

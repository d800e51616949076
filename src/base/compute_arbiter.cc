#include "base/compute_arbiter.h"

#include <algorithm>

namespace nereid {

ComputeArbiter::ComputeArbiter(int tokens, std::chrono::milliseconds patience)
    : total_(std::max(1, tokens)), patience_(patience), free_(total_) {}

ComputeArbiter::Hold& ComputeArbiter::Hold::operator=(Hold&& other) noexcept {
  if (this != &other) {
    Release();
    arbiter_ = std::exchange(other.arbiter_, nullptr);
    tokens_ = other.tokens_;
  }
  return *this;
}

void ComputeArbiter::Hold::Release() {
  if (!arbiter_) return;
  std::lock_guard lock(arbiter_->mutex_);
  arbiter_->free_ += tokens_;
  arbiter_->Grant();
  arbiter_ = nullptr;
}

ComputeArbiter::Hold ComputeArbiter::Acquire(int tokens, ComputePriority priority) {
  tokens = std::clamp(tokens, 1, total_);
  std::unique_lock lock(mutex_);
  Waiter self{tokens, {}};
  auto& line = waiting_[static_cast<int>(priority)];
  line.push_back(&self);
  Grant();
  if (!self.wake.wait_for(lock, patience_, [&] { return self.granted; })) {
    line.remove(&self);
    free_ -= tokens;
    Grant();  // who stood behind may want less
  }
  return Hold(this, tokens);
}

std::optional<ComputeArbiter::Hold> ComputeArbiter::TryAcquire(int tokens) {
  tokens = std::clamp(tokens, 1, total_);
  std::lock_guard lock(mutex_);
  bool waited_for = std::any_of(std::begin(waiting_), std::end(waiting_), [](const auto& list) { return !list.empty(); });
  if (waited_for || tokens > free_) return std::nullopt;
  free_ -= tokens;
  return Hold(this, tokens);
}

void ComputeArbiter::Grant() {
  for (auto& list : waiting_) {
    while (!list.empty()) {
      Waiter& first = *list.front();
      if (first.tokens > free_) return;  // a lower priority does not overtake: the first in line would starve
      free_ -= first.tokens;
      first.granted = true;
      list.pop_front();
      first.wake.notify_one();
    }
  }
}

}  // namespace nereid

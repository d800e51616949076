// A flag that says "the caller went away", shared by the request and all that work for it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace nereid {

// Copies share one flag. Any thread.
class Cancellation {
 public:
  Cancellation() : state_(std::make_shared<State>()) {}
  // One that cannot be cancelled, and takes no memory.
  static Cancellation Never() { return Cancellation(nullptr); }

  bool cancelled() const { return state_ && state_->cancelled.load(std::memory_order_acquire); }

  // Sets the flag and runs the callbacks on this thread, once.
  void Cancel() {
    if (!state_) return;
    std::vector<std::function<void()>> callbacks;
    {
      std::lock_guard lock(state_->mutex);
      if (state_->cancelled.exchange(true, std::memory_order_acq_rel)) return;
      callbacks.swap(state_->callbacks);
    }
    for (auto& callback : callbacks) callback();
  }

  // Runs `callback` when cancelled (at once when it already is), on the cancelling thread. Must not block; captures must be weak
  // or shared, since there is no way to take a callback back.
  void OnCancel(std::function<void()> callback) {
    if (!state_) return;
    {
      std::lock_guard lock(state_->mutex);
      if (!cancelled()) {
        state_->callbacks.push_back(std::move(callback));
        return;
      }
    }
    callback();
  }

 private:
  struct State {
    std::atomic<bool> cancelled{false};
    std::mutex mutex;
    std::vector<std::function<void()>> callbacks;  // guarded by mutex
  };
  explicit Cancellation(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace nereid

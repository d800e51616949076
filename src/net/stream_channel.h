// A bounded stream of values from any thread to one waiting task: one post for a burst, not one for each value.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "net/spawn.h"

namespace nereid::net {

template <class T>
class StreamChannel {
 public:
  enum class Pushed : std::uint8_t { kTaken, kFull, kGone };

  // `size_of(item)` in bytes; Push says kFull while more than `bytes_max` wait.
  StreamChannel(Executor home, std::size_t bytes_max, std::size_t (*size_of)(const T&))
      : home_(home), timer_(home), bytes_max_(bytes_max), size_of_(size_of) {}

  // Any thread. Moves from `item` only when it is taken; `always` takes it past the bound (for a last item).
  Pushed Push(std::shared_ptr<StreamChannel> self, T&& item, bool always) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return Pushed::kGone;
      if (bytes_ >= bytes_max_ && !always) return Pushed::kFull;
      bytes_ += size_of_(item);
      queue_.push_back(std::move(item));
      if (std::exchange(posted_, true)) return Pushed::kTaken;
    }
    asio::post(home_, [self = std::move(self)] {
      {
        std::lock_guard lock(self->mutex_);
        self->posted_ = false;
      }
      self->timer_.cancel();
    });
    return Pushed::kTaken;
  }

  // Calls `wake` once when half of the room is free again; at once when it already is.
  void OnRoom(std::function<void()> wake) {
    {
      std::lock_guard lock(mutex_);
      if (!closed_ && bytes_ > bytes_max_ / 2) {
        wake_ = std::move(wake);
        return;
      }
    }
    wake();
  }

  // On the home thread, one at a time. kDeadlineExceeded or kCancelled when that comes first.
  Task<T> Next(Deadline deadline = {}) {
    for (;;) {
      std::function<void()> wake;
      std::optional<T> item;
      {
        std::lock_guard lock(mutex_);
        if (!queue_.empty()) {
          item = std::move(queue_.front());
          queue_.pop_front();
          bytes_ -= size_of_(*item);
          if (bytes_ <= bytes_max_ / 2) wake = std::exchange(wake_, nullptr);
        }
      }
      if (wake) wake();
      if (item) co_return *std::move(item);
      timer_.expires_at(deadline.at());
      auto [error] = co_await timer_.async_wait(kAwaitTuple);
      bool empty;
      {
        std::lock_guard lock(mutex_);
        empty = queue_.empty();
      }
      if (!empty) continue;
      if (!error) co_return Error(Code::kDeadlineExceeded, "the deadline of the request has passed", "deadline");
      // A cancelled wait without a value: either a post that found its value already taken, or the task itself was cancelled.
      auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) co_return Error(Code::kCancelled, "the request was cancelled", "cancelled");
    }
  }

  // No further value is taken. Home thread.
  void Close() {
    std::function<void()> wake;
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      wake = std::exchange(wake_, nullptr);
    }
    if (wake) wake();
  }

 private:
  const Executor home_;
  Timer timer_;  // home thread only
  const std::size_t bytes_max_;
  std::size_t (*const size_of_)(const T&);
  std::mutex mutex_;
  std::deque<T> queue_;                   // guarded by mutex_
  std::size_t bytes_ = 0;                 // guarded by mutex_
  bool posted_ = false, closed_ = false;  // guarded by mutex_
  std::function<void()> wake_;            // guarded by mutex_
};

}  // namespace nereid::net

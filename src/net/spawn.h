// Starting tasks, and the few ways in which one waits for something that is no socket.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/clock.h"
#include "net/task.h"

namespace nereid::net {

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
inline constexpr auto kAwaitTuple = asio::as_tuple(kAwait);

// Tasks that were spawned and have not ended. Shutdown waits for zero: destroying an io_context drops suspended frames.
std::atomic<std::int64_t>& RunningTasks();

namespace detail {
template <class T>
Awaitable<void> Root(Task<T> task, std::optional<Result<T>>& result) {
  // A cancelled coroutine would else throw at its next co_await, and what follows (a settlement) would never run.
  co_await asio::this_coro::throw_if_cancelled(false);
  result.emplace(co_await std::move(task));
}
}  // namespace detail

// Starts `task` on `executor`; `done(Result<T>)` runs there when it ends. A terminal signal on `slot`, emitted on that executor, cancels
// it. What owns the slot may be freed by what `done` posts, not by `done` itself.
template <class T, class OnDone>
void Spawn(Executor executor, Task<T> task, OnDone done, asio::cancellation_slot slot = {}) {
  RunningTasks().fetch_add(1, std::memory_order_acq_rel);
  auto result = std::make_unique<std::optional<Result<T>>>();
  auto root = detail::Root<T>(std::move(task), *result);
  // Not the last line of Root: Asio may resume a coroutine that never waited once more, through the slot.
  auto ended = [result = std::move(result), done = std::move(done)](const std::exception_ptr&) mutable {
    RunningTasks().fetch_sub(1, std::memory_order_acq_rel);
    if (!*result) result->emplace(Error(Code::kInternal, "a task ended by an exception, out of memory most likely", "exception"));
    done(std::move(**result));
  };
  asio::co_spawn(executor, std::move(root), asio::bind_cancellation_slot(slot, std::move(ended)));
}

// Runs `task` to its end whatever is cancelled meanwhile: for settlements.
template <class T>
Task<T> Shielded(Task<T> task) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  Result<T> result = co_await std::move(task);
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  co_return result;
}

// kCancelled when cancelled before.
Task<Nothing> SleepUntil(SteadyTime at);

// A value that another thread hands to one waiting task. The completer may outlive the waiter, and the other way round.
template <class T>
class OneShot {
  struct State {
    explicit State(Executor executor) : home(executor), timer(executor) {}
    Executor home;
    Timer timer;                     // home thread only
    std::optional<Result<T>> value;  // home thread only
  };

 public:
  explicit OneShot(Executor home) : state_(std::make_shared<State>(home)) {}

  class Completer {
   public:
    explicit Completer(std::shared_ptr<State> state) : state_(std::move(state)) {}
    // Any thread; the first call counts.
    void operator()(Result<T> value) const {
      asio::post(state_->home, [state = state_, value = std::move(value)]() mutable {
        if (state->value) return;
        state->value = std::move(value);
        state->timer.cancel();
      });
    }

   private:
    std::shared_ptr<State> state_;
  };
  Completer completer() const { return Completer(state_); }

  // On the home thread, once. kDeadlineExceeded or kCancelled when that comes first.
  Task<T> Wait(Deadline deadline = {}) {
    auto state = state_;
    if (!state->value) {
      state->timer.expires_at(deadline.at());
      auto [error] = co_await state->timer.async_wait(kAwaitTuple);
      if (!state->value) {
        if (error) co_return Error(Code::kCancelled, "the request was cancelled", "cancelled");
        co_return Error(Code::kDeadlineExceeded, "the deadline of the request has passed", "deadline");
      }
    }
    co_return *std::move(state->value);
  }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace nereid::net

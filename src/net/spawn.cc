#include "net/spawn.h"

namespace nereid::net {

std::atomic<std::int64_t>& RunningTasks() {
  static std::atomic<std::int64_t> count{0};
  return count;
}

Task<Nothing> SleepUntil(SteadyTime at) {
  Timer timer(co_await asio::this_coro::executor, at);
  auto [error] = co_await timer.async_wait(kAwaitTuple);
  if (error) co_return Error(Code::kCancelled, "the request was cancelled", "cancelled");
  co_return Nothing{};
}

}  // namespace nereid::net

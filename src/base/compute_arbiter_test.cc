#include "base/compute_arbiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

namespace nereid {
namespace {

TEST(ComputeArbiter, NeverGivesOutMoreTokensThanItHas) {
  ComputeArbiter arbiter(3, std::chrono::hours(1));
  std::atomic<int> held = 0, most = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        int tokens = 1 + (t + i) % 3;
        auto hold = arbiter.Acquire(tokens);
        int now = held += tokens;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        held -= tokens;
      }
    });
  }
  threads.clear();
  EXPECT_LE(most, 3);
  EXPECT_EQ(held, 0);
}

TEST(ComputeArbiter, ClampsARequestForMoreThanAll) {
  ComputeArbiter arbiter(2);
  auto hold = arbiter.Acquire(100);
  hold.Release();
  auto again = arbiter.Acquire(2);
}

TEST(ComputeArbiter, ALongHolderDoesNotStandBeforeTheOthers) {
  ComputeArbiter arbiter(2);
  auto forever = arbiter.Acquire(2);
  auto other = arbiter.Acquire(1), all = arbiter.Acquire(2);  // both return while the first is held
  EXPECT_FALSE(arbiter.TryAcquire(1));
  other.Release();
  all.Release();
  EXPECT_FALSE(arbiter.TryAcquire(1));
  forever.Release();
  EXPECT_TRUE(arbiter.TryAcquire(2));
}

TEST(ComputeArbiter, ALaterSmallRequestDoesNotOvertakeALargeOne) {
  ComputeArbiter arbiter(2, std::chrono::hours(1));
  auto first = arbiter.Acquire(1);
  std::latch large_has_it(1);
  std::atomic<bool> large_done = false;
  std::jthread large([&] {
    auto hold = arbiter.Acquire(2);
    large_done = true;
    large_has_it.count_down();
  });
  std::atomic<bool> small_was_after_large = false;
  std::jthread small([&] {
    large_has_it.wait();
    auto hold = arbiter.Acquire(1, ComputePriority::kLow);
    small_was_after_large = large_done.load();
  });
  first.Release();
  small.join();
  EXPECT_TRUE(small_was_after_large);
}

TEST(ComputeArbiter, TryAcquireNeverWaits) {
  ComputeArbiter arbiter(2);
  auto all = arbiter.TryAcquire(2);
  ASSERT_TRUE(all);
  EXPECT_FALSE(arbiter.TryAcquire(1));
  all->Release();
  auto one = arbiter.TryAcquire(1);
  ASSERT_TRUE(one);
  EXPECT_FALSE(arbiter.TryAcquire(2));
  EXPECT_TRUE(arbiter.TryAcquire(1));
}

}  // namespace
}  // namespace nereid

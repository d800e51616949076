#include "net/spawn.h"

#include <gtest/gtest.h>

namespace nereid::net {
namespace {

Task<Nothing> AtOnce() {
  co_return Nothing{};
}

Task<Nothing> Throws() {
  throw std::bad_alloc();
  co_return Nothing{};
}

TEST(Spawn, WhatOwnsTheSlotOfATaskThatNeverWaitsMayBePostedAway) {
  asio::io_context context{1};
  int ended = 0;
  for (int i = 0; i < 8; ++i) {  // more than Asio keeps in its cache of freed memory, where asan sees nothing
    auto signal = std::make_shared<asio::cancellation_signal>();
    auto slot = signal->slot();
    Spawn(
        context.get_executor(), AtOnce(),
        [&ended, &context, owner = std::move(signal)](const Result<Nothing>&) mutable {
          ++ended;
          asio::post(context, [owner = std::move(owner)] {});
        },
        slot);
  }
  context.run();
  EXPECT_EQ(ended, 8);
  EXPECT_EQ(RunningTasks(), 0);
}

TEST(Spawn, AnExceptionEndsTheTaskWithAnError) {
  asio::io_context context{1};
  std::optional<Result<Nothing>> done;
  Spawn(context.get_executor(), Throws(), [&](Result<Nothing> result) { done = std::move(result); });
  context.run();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->error().reason, "exception");
  EXPECT_EQ(RunningTasks(), 0);
}

}  // namespace
}  // namespace nereid::net

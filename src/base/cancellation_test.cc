#include "base/cancellation.h"

#include <gtest/gtest.h>

namespace nereid {
namespace {

TEST(Cancellation, RunsEachCallbackOnce) {
  Cancellation cancellation;
  int calls = 0;
  cancellation.OnCancel([&] { ++calls; });
  Cancellation copy = cancellation;
  copy.Cancel();
  cancellation.Cancel();
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(cancellation.cancelled());
}

TEST(Cancellation, ALateCallbackRunsAtOnce) {
  Cancellation cancellation;
  cancellation.Cancel();
  int calls = 0;
  cancellation.OnCancel([&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace nereid

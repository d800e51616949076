#include "backends/python/restart_policy.h"

#include <gtest/gtest.h>

namespace nereid::python {
namespace {

using namespace std::chrono_literals;

class RestartPolicyTest : public testing::Test {
 protected:
  // How long no start is allowed from now on.
  Nanos Pause() const { return std::max<Nanos>(Nanos(0), policy_.next_start() - clock_.Steady()); }
  void Die(int times) {
    for (int i = 0; i < times; ++i) policy_.Died(clock_.Steady());
  }

  RestartPolicy policy_;
  FakeClock clock_;
};

TEST_F(RestartPolicyTest, ADeathOrTwoAreFollowedByAStartAtOnce) {
  Die(2);
  EXPECT_EQ(Pause(), 0s);
}

TEST_F(RestartPolicyTest, TheThirdDeathWithinTenSecondsPauses) {
  Die(2);
  clock_.Advance(9s);
  Die(1);
  EXPECT_EQ(Pause(), 1s);
}

TEST_F(RestartPolicyTest, DeathsFarApartNeverPause) {
  for (int i = 0; i < 100; ++i) {
    Die(1);
    EXPECT_EQ(Pause(), 0s);
    clock_.Advance(6s);
  }
}

TEST_F(RestartPolicyTest, FailedStartsPauseLongerAndLongerUpToABound) {
  std::vector<Nanos> pauses;
  for (int i = 0; i < 7; ++i) {
    policy_.StartFailed(clock_.Steady());
    pauses.push_back(Pause());
    clock_.Advance(Pause());
  }
  EXPECT_EQ(pauses, (std::vector<Nanos>{1s, 2s, 4s, 8s, 16s, 30s, 30s}));
}

TEST_F(RestartPolicyTest, AWorkerThatRanWellBeginsAnewWithTheFirstPause) {
  for (int i = 0; i < 4; ++i) policy_.StartFailed(clock_.Steady());
  clock_.Advance(8s + 31s);
  Die(1);
  policy_.StartFailed(clock_.Steady());
  EXPECT_EQ(Pause(), 1s);
}

}  // namespace
}  // namespace nereid::python

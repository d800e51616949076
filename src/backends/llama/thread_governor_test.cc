#include "backends/llama/thread_governor.h"

#include <functional>

#include <gtest/gtest.h>

namespace nereid::llama {
namespace {

using Machine = std::function<Millis(int threads)>;

// The share of `steps` that ran with `threads`, in percent.
int PercentWith(ThreadGovernor& governor, int threads, const Machine& machine, int steps, int tokens = 1) {
  int with = 0;
  for (int i = 0; i < steps; ++i) {
    int chosen = governor.Threads(tokens);
    with += chosen == threads;
    governor.Took(tokens, machine(chosen));
  }
  return with * 100 / steps;
}

Millis Idle(int threads) {
  return Millis(100 / threads);
}
Millis Busy(int threads) {
  return Millis(threads == 1 ? 150 : 900);
}

TEST(ThreadGovernor, StaysWithAllThreadsOnAnIdleMachine) {
  ThreadGovernor governor(2);
  EXPECT_GE(PercentWith(governor, 2, Idle, 500), 95);
}

TEST(ThreadGovernor, GoesDownWhenOthersHoldACore) {
  ThreadGovernor governor(2);
  EXPECT_GE(PercentWith(governor, 1, Busy, 500), 90);
}

TEST(ThreadGovernor, NoticesWithinAFewStepsThatTheMachineGotBusyAndThatItIsIdleAgain) {
  ThreadGovernor governor(2);
  PercentWith(governor, 2, Idle, 500);
  EXPECT_GE(PercentWith(governor, 1, Busy, 30), 50);
  PercentWith(governor, 1, Busy, 300);
  PercentWith(governor, 2, Idle, 600);
  EXPECT_GE(PercentWith(governor, 2, Idle, 300), 95);
}

TEST(ThreadGovernor, FindsTheMiddleOfManyThreads) {
  ThreadGovernor governor(8);
  auto middle = [](int threads) { return Millis(threads == 4 ? 50 : 100); };
  PercentWith(governor, 4, middle, 100);
  EXPECT_GE(PercentWith(governor, 4, middle, 500), 90);
}

TEST(ThreadGovernor, GivesPromptsWhatGeneratingStepsFoundBest) {
  ThreadGovernor governor(2);
  EXPECT_EQ(governor.Threads(200), 2);
  PercentWith(governor, 1, Busy, 500);
  EXPECT_EQ(governor.Threads(200), 1);
}

TEST(ThreadGovernor, LearnsWhileRequestsComeAndGo) {
  ThreadGovernor governor(2);
  for (int i = 0; i < 40; ++i) {
    PercentWith(governor, 1, Busy, 3, 8);
    PercentWith(governor, 1, Busy, 3, 9);
    PercentWith(governor, 1, Busy, 1, 200);
  }
  EXPECT_EQ(governor.Threads(8), 1);
}

TEST(ThreadGovernor, HasNoChoiceWithOneThread) {
  ThreadGovernor governor(1);
  EXPECT_EQ(PercentWith(governor, 1, Busy, 50), 100);
}

}  // namespace
}  // namespace nereid::llama

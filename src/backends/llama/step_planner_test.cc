#include "backends/llama/step_planner.h"

#include <gtest/gtest.h>

namespace nereid::llama {

std::ostream& operator<<(std::ostream& out, const PlannedRow& row) {
  return out << "row " << row.row << ": " << row.tokens;
}

namespace {

using Plan = std::vector<PlannedRow>;
constexpr StepBudget kBudget{.tokens = 100, .mixed_tokens = 40, .chunk_tokens_min = 10};

Plan PlanOf(std::vector<PlanRow> rows) {
  return PlanStep(rows, kBudget);
}

TEST(StepPlanner, PutsGeneratingRowsBeforePrompts) {
  EXPECT_EQ(PlanOf({{30}, {1}, {1}}), (Plan{{1, 1}, {2, 1}, {0, 30}}));
}

TEST(StepPlanner, GivesALonePromptTheWholeBudget) {
  EXPECT_EQ(PlanOf({{5000}}), (Plan{{0, 100}}));
}

TEST(StepPlanner, BoundsPromptsBesideGeneratingRows) {
  EXPECT_EQ(PlanOf({{5000}, {1}}), (Plan{{1, 1}, {0, 40}}));
}

TEST(StepPlanner, SharesAmongPromptsAndPassesOnWhatAShortOneLeaves) {
  EXPECT_EQ(PlanOf({{20}, {5000}, {5000}}), (Plan{{0, 20}, {1, 40}, {2, 40}}));
}

TEST(StepPlanner, LetsTheYoungestWaitRatherThanCutTinyChunks) {
  Plan plan = PlanOf(std::vector<PlanRow>(20, PlanRow{50}));
  ASSERT_EQ(plan.size(), 10u);
  EXPECT_EQ(plan.front(), (PlannedRow{0, 10}));
  EXPECT_EQ(plan.back(), (PlannedRow{9, 10}));
}

TEST(StepPlanner, LeavesPausedAndIdleRowsOut) {
  EXPECT_EQ(PlanOf({{1, true}, {50, true}, {0}, {1}}), (Plan{{3, 1}}));
}

TEST(StepPlanner, NeverPlansMoreThanTheBudget) {
  int tokens = 0;
  for (const PlannedRow& row : PlanStep(std::vector<PlanRow>(300, PlanRow{1}), kBudget)) tokens += row.tokens;
  EXPECT_EQ(tokens, 100);
}

TEST(ChooseVictim, TakesTheYoungestAndNeverTheOldest) {
  EXPECT_EQ(ChooseVictim(std::vector<VictimRow>{{10}, {10}, {10}}), 2u);
  EXPECT_EQ(ChooseVictim(std::vector<VictimRow>{{10}, {10}, {0}}), 1u);
  EXPECT_EQ(ChooseVictim(std::vector<VictimRow>{{10}}), std::nullopt);
}

TEST(ChooseVictim, PrefersAPausedRowHoweverOld) {
  EXPECT_EQ(ChooseVictim(std::vector<VictimRow>{{10, true}, {10}, {10}}), 0u);
  EXPECT_EQ(ChooseVictim(std::vector<VictimRow>{{0, true}, {10}, {10}}), 2u);
  EXPECT_EQ(ChooseVictim(std::vector<VictimRow>{{0, true}, {10}}), std::nullopt);
}

}  // namespace
}  // namespace nereid::llama

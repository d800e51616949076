#include "models/scheduler/batcher.h"

#include <gtest/gtest.h>

#include <random>

namespace nereid::models {
namespace {

class BatcherTest : public testing::Test {
 protected:
  BatcherConfig Dynamic(std::int64_t most, std::vector<std::int64_t> preferred = {}, Nanos delay = Nanos(0)) {
    BatcherConfig config;
    config.dynamic = true;
    config.batch_size_max = most;
    config.preferred = std::move(preferred);
    config.delay = delay;
    return config;
  }
  bool Add(Batcher& batcher, std::int64_t size = 1, std::uint64_t key = 0, std::uint64_t level = 1, Nanos timeout = Nanos(0)) {
    tickets_.push_back(std::make_unique<int>(static_cast<int>(tickets_.size())));
    SteadyTime expires =
        timeout > Nanos(0) ? clock_.Steady() + std::chrono::duration_cast<SteadyTime::duration>(timeout) : SteadyTime::max();
    return batcher.Add({tickets_.back().get(), size, key, clock_.Steady(), expires, false}, level);
  }
  // The tickets of the next batch, as numbers.
  std::vector<int> Take(Batcher& batcher) {
    rejected_.clear();
    std::vector<Queued> rejected;
    auto next = batcher.Take(clock_.Steady(), rejected, [this](void* ticket) { return ticket == gone_; });
    for (const Queued& each : rejected) rejected_.push_back(*static_cast<int*>(each.ticket));
    wait_ = next.wait;
    std::vector<int> out;
    for (const Queued& each : next.batch) out.push_back(*static_cast<int*>(each.ticket));
    return out;
  }
  using Batch = std::vector<int>;

  FakeClock clock_;
  std::vector<std::unique_ptr<int>> tickets_;
  std::vector<int> rejected_;
  SteadyTime wait_{};
  void* gone_ = nullptr;
};

TEST_F(BatcherTest, ADirectSchedulerSendsOneRequestABatch) {
  Batcher batcher(BatcherConfig{});
  Add(batcher), Add(batcher);
  EXPECT_EQ(Take(batcher), (Batch{0}));
  EXPECT_EQ(Take(batcher), (Batch{1}));
}

TEST_F(BatcherTest, WithoutADelayAllThatIsThereGoesAtOnce) {
  Batcher batcher(Dynamic(8));
  for (int i = 0; i < 3; ++i) Add(batcher);
  EXPECT_EQ(Take(batcher), (Batch{0, 1, 2}));
}

TEST_F(BatcherTest, ABatchNeverGrowsPastTheMost) {
  Batcher batcher(Dynamic(4));
  Add(batcher, 3), Add(batcher, 2), Add(batcher, 1);
  EXPECT_EQ(Take(batcher), (Batch{0}));
  EXPECT_EQ(Take(batcher), (Batch{1, 2}));
}

TEST_F(BatcherTest, APartialBatchWaitsForTheDelayOfItsOldest) {
  Batcher batcher(Dynamic(8, {8}, Millis(5)));
  Add(batcher);
  EXPECT_TRUE(Take(batcher).empty());
  EXPECT_EQ(wait_, clock_.Steady() + Millis(5));
  clock_.Advance(Millis(3));
  Add(batcher);
  EXPECT_TRUE(Take(batcher).empty());
  clock_.Advance(Millis(2));
  EXPECT_EQ(Take(batcher), (Batch{0, 1}));
}

TEST_F(BatcherTest, APreferredSizeGoesBeforeTheDelay) {
  Batcher batcher(Dynamic(8, {2, 4}, Millis(5)));
  for (int i = 0; i < 3; ++i) Add(batcher);
  EXPECT_EQ(Take(batcher), (Batch{0, 1}));
  EXPECT_TRUE(Take(batcher).empty());
}

TEST_F(BatcherTest, OtherShapesStartAnotherBatch) {
  Batcher batcher(Dynamic(8));
  Add(batcher, 1, 7), Add(batcher, 1, 7), Add(batcher, 1, 9);
  EXPECT_EQ(Take(batcher), (Batch{0, 1}));
  EXPECT_EQ(Take(batcher), (Batch{2}));
}

TEST_F(BatcherTest, HigherLevelsGoFirst) {
  BatcherConfig config = Dynamic(2);
  config.levels = 2;
  config.default_level = 2;
  Batcher batcher(config);
  Add(batcher, 1, 0, 2), Add(batcher, 1, 0, 2), Add(batcher, 1, 0, 1);
  EXPECT_EQ(Take(batcher), (Batch{2, 0}));
  EXPECT_EQ(batcher.LevelOf(0), 2u);
  EXPECT_EQ(batcher.LevelOf(99), 2u);
  EXPECT_EQ(batcher.LevelOf(1), 1u);
}

TEST_F(BatcherTest, AFullLevelRefuses) {
  BatcherConfig config = Dynamic(8);
  config.policy.queue_size_max = 2;
  Batcher batcher(config);
  EXPECT_TRUE(Add(batcher));
  EXPECT_TRUE(Add(batcher));
  EXPECT_FALSE(Add(batcher));
}

TEST_F(BatcherTest, ATimeoutRejectsOnlyAfterItsTime) {
  Batcher batcher(Dynamic(8, {8}, Millis(50)));
  Add(batcher, 1, 0, 1, Millis(10));
  clock_.Advance(Millis(10));
  Take(batcher);
  EXPECT_TRUE(rejected_.empty());
  clock_.Advance(Micros(1));
  EXPECT_TRUE(Take(batcher).empty());
  EXPECT_EQ(rejected_, (Batch{0}));
  EXPECT_EQ(batcher.size(), 0u);
}

TEST_F(BatcherTest, UnderDelayALateRequestIsServedBehindTheOthers) {
  BatcherConfig config = Dynamic(1);
  config.policy.delay_on_timeout = true;
  Batcher batcher(config);
  Add(batcher, 1, 0, 1, Millis(1));
  clock_.Advance(Millis(2));
  Add(batcher);
  EXPECT_EQ(Take(batcher), (Batch{1}));
  EXPECT_TRUE(rejected_.empty());
  EXPECT_EQ(Take(batcher), (Batch{0}));
}

TEST_F(BatcherTest, ARequestNobodyWaitsForIsNotExecuted) {
  Batcher batcher(Dynamic(8));
  Add(batcher), Add(batcher);
  gone_ = tickets_[0].get();
  EXPECT_EQ(Take(batcher), (Batch{1}));
  EXPECT_EQ(rejected_, (Batch{0}));
}

TEST_F(BatcherTest, ARequestMayOnlyLowerItsTimeout) {
  BatcherConfig config = Dynamic(8);
  config.policy.timeout = Micros(100);
  EXPECT_EQ(Batcher(config).TimeoutOf(1, 50), Micros(100));
  config.policy.allow_override = true;
  EXPECT_EQ(Batcher(config).TimeoutOf(1, 50), Micros(50));
  EXPECT_EQ(Batcher(config).TimeoutOf(1, 500), Micros(100));
  config.policy.timeout = Nanos(0);
  EXPECT_EQ(Batcher(config).TimeoutOf(1, 50), Nanos(0));
}

// Random arrivals: every request leaves exactly once, in order within its shape and level, and no batch is too large or mixed.
TEST_F(BatcherTest, SimulationLosesNothingAndKeepsTheRules) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    auto pick = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
    BatcherConfig config = Dynamic(1 + pick(8), {}, Millis(pick(3)));
    config.levels = 1 + static_cast<std::uint64_t>(pick(2));
    if (pick(2)) config.preferred = {1 + pick(static_cast<int>(config.batch_size_max))};
    Batcher batcher(config);
    tickets_.clear();
    std::vector<std::pair<std::int64_t, std::uint64_t>> facts;  // size, key by ticket
    std::vector<int> seen;
    int added = 0;
    for (int step = 0; step < 300 || batcher.size() > 0; ++step) {
      if (step < 300 && pick(2)) {
        std::int64_t size = 1 + pick(static_cast<int>(config.batch_size_max));
        std::uint64_t key = static_cast<std::uint64_t>(pick(2)),
                      level = 1 + static_cast<std::uint64_t>(pick(static_cast<int>(config.levels)));
        facts.emplace_back(size, key);
        ASSERT_TRUE(Add(batcher, size, key, level));
        ++added;
      }
      clock_.Advance(Micros(pick(2000)));
      std::vector<int> batch = Take(batcher);
      std::int64_t total = 0;
      for (int ticket : batch) {
        total += facts[static_cast<std::size_t>(ticket)].first;
        ASSERT_EQ(facts[static_cast<std::size_t>(ticket)].second, facts[static_cast<std::size_t>(batch.front())].second);
        seen.push_back(ticket);
      }
      ASSERT_LE(total, config.batch_size_max);
      if (batch.empty() && batcher.size() > 0) ASSERT_LT(wait_, SteadyTime::max());
    }
    std::sort(seen.begin(), seen.end());
    ASSERT_EQ(static_cast<int>(seen.size()), added);
    for (int i = 0; i < added; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], i);
  }
}

}  // namespace
}  // namespace nereid::models

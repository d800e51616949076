#include "metrics/custom_metrics.h"

#include <gtest/gtest.h>
#include <prometheus/metric_family.h>

namespace nereid {
namespace {

TEST(CustomMetrics, AreSharedByNameAndLabelsAndShownWhileHeld) {
  CustomMetrics metrics;
  ASSERT_TRUE(metrics.Declare("calls", "Calls", MetricKind::kCounter));
  ASSERT_TRUE(metrics.Declare("calls", "Calls", MetricKind::kCounter));
  auto one = metrics.Get("calls", {{"b", "2"}, {"a", "1"}}, {}).value();
  auto same = metrics.Get("calls", {{"a", "1"}, {"b", "2"}}, {}).value();
  EXPECT_EQ(one, same);
  EXPECT_TRUE(one->Increment(2));
  EXPECT_TRUE(same->Increment(0.5));
  auto families = metrics.Collect();
  ASSERT_EQ(families.size(), 1u);
  EXPECT_EQ(families[0].metric.at(0).counter.value, 2.5);
  one.reset();
  same.reset();
  EXPECT_TRUE(metrics.Collect().empty());
}

TEST(CustomMetrics, RefuseNamesThatAreNoneOrTheServers) {
  CustomMetrics metrics;
  for (const char* name : {"", "1st", "with space", "nv_inference_count", "nereid_x", "ä"})
    EXPECT_FALSE(metrics.Declare(name, "", MetricKind::kGauge)) << name;
  EXPECT_TRUE(metrics.Declare("a:b_1", "", MetricKind::kGauge));
  EXPECT_FALSE(metrics.Declare("a:b_1", "", MetricKind::kCounter));  // there with another kind
  EXPECT_FALSE(metrics.Get("a:b_1", {{"bad label", "x"}}, {}));
  EXPECT_FALSE(metrics.Get("undeclared", {}, {}));
}

TEST(CustomMetrics, EachKindHasItsOwnChanges) {
  CustomMetrics metrics;
  for (auto [name, kind] : {std::pair{"c", MetricKind::kCounter}, {"g", MetricKind::kGauge}, {"h", MetricKind::kHistogram}})
    ASSERT_TRUE(metrics.Declare(name, "", kind));
  auto counter = metrics.Get("c", {}, {}).value(), gauge = metrics.Get("g", {}, {}).value(),
       histogram = metrics.Get("h", {}, {1, 5}).value();
  EXPECT_FALSE(counter->Increment(-1));
  EXPECT_FALSE(counter->Set(1));
  EXPECT_FALSE(counter->Observe(1));
  EXPECT_TRUE(gauge->Set(4));
  EXPECT_TRUE(gauge->Increment(-1));
  EXPECT_EQ(gauge->value(), 3);
  EXPECT_FALSE(histogram->Increment(1));
  for (double value : {1.0, 1.5, 7.0}) EXPECT_TRUE(histogram->Observe(value));
  auto shown = metrics.Collect();
  const auto& buckets = shown.back().metric.at(0).histogram.bucket;
  ASSERT_EQ(buckets.size(), 3u);
  EXPECT_EQ(buckets[0].cumulative_count, 1u);
  EXPECT_EQ(buckets[1].cumulative_count, 2u);
  EXPECT_EQ(buckets[2].cumulative_count, 3u);
}

}  // namespace
}  // namespace nereid

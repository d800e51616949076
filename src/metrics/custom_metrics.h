// Metrics that models define while they run. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"

namespace prometheus {
struct MetricFamily;
}

namespace nereid {

enum class MetricKind : unsigned char { kCounter, kGauge, kHistogram };

class CustomMetrics {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  // Shares a metric with everybody who asked for the same name and labels; the metric is shown while somebody holds it.
  class Series;
  using Handle = std::shared_ptr<Series>;

  // Declares a family. kInvalidArgument: the name is not one of Prometheus, begins with nv_ or nereid_, or is there with another kind.
  Result<Nothing> Declare(const std::string& name, const std::string& help, MetricKind kind);
  // Of a declared family. `buckets` ascend; only for histograms.
  Result<Handle> Get(const std::string& family, Labels labels, std::vector<double> buckets);

  // For the metrics page.
  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  static constexpr std::size_t kSweepLeast = 64;
  struct Family {
    std::string help;
    MetricKind kind;
    std::map<Labels, std::weak_ptr<Series>> series;
    std::size_t sweep_at = kSweepLeast;  // entries, at which those go that nobody holds any more
  };
  mutable std::mutex mutex_;
  std::map<std::string, Family> families_;  // guarded by mutex_
};

class CustomMetrics::Series {
 public:
  Series(MetricKind kind, std::vector<double> buckets) : kind_(kind), bounds_(std::move(buckets)), counts_(bounds_.size() + 1) {}

  // False: the kind has no such change, or a counter would shrink.
  bool Increment(double by);
  bool Set(double value);
  bool Observe(double value);
  double value() const;

 private:
  friend class CustomMetrics;
  const MetricKind kind_;
  const std::vector<double> bounds_;
  mutable std::mutex mutex_;
  double value_ = 0;                   // of a histogram: the sum; guarded by mutex_
  std::uint64_t count_ = 0;            // guarded by mutex_
  std::vector<std::uint64_t> counts_;  // a bucket each, the last without bound; guarded by mutex_
};

}  // namespace nereid

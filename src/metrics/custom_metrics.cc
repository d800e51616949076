#include "metrics/custom_metrics.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <prometheus/metric_family.h>

namespace nereid {
namespace {

bool GoodName(std::string_view name, bool colon) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name.front()))) return false;
  return std::ranges::all_of(name,
                             [colon](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (colon && c == ':'); });
}

}  // namespace

Result<Nothing> CustomMetrics::Declare(const std::string& name, const std::string& help, MetricKind kind) {
  if (!GoodName(name, true))
    return Error(Code::kInvalidArgument, fmt::format("'{}' is no name for a metric: letters, digits, '_' and ':' are", name), "bad_metric");
  if (name.starts_with("nv_") || name.starts_with("nereid_"))
    return Error(Code::kInvalidArgument, fmt::format("the metric '{}': names that begin with nv_ or nereid_ are the server's", name),
                 "bad_metric");
  std::lock_guard lock(mutex_);
  auto [family, added] = families_.try_emplace(name, Family{help, kind, {}, kSweepLeast});
  if (!added && family->second.kind != kind)
    return Error(Code::kInvalidArgument, fmt::format("the metric family '{}' is there with another kind", name), "bad_metric");
  return Nothing{};
}

Result<CustomMetrics::Handle> CustomMetrics::Get(const std::string& name, Labels labels, std::vector<double> buckets) {
  for (const auto& [key, value] : labels) {
    if (!GoodName(key, false))
      return Error(Code::kInvalidArgument, fmt::format("'{}' is no name for a label of the metric '{}'", key, name), "bad_metric");
  }
  std::ranges::sort(labels);
  std::lock_guard lock(mutex_);
  auto family = families_.find(name);
  if (family == families_.end()) return Error(Code::kNotFound, fmt::format("the metric family '{}' is not there", name), "bad_metric");
  auto& all = family->second.series;
  if (auto held = all.find(labels); held != all.end()) {
    if (auto series = held->second.lock()) return series;
  }
  if (all.size() >= family->second.sweep_at) {
    std::erase_if(all, [](const auto& each) { return each.second.expired(); });
    family->second.sweep_at = std::max(kSweepLeast, 2 * all.size());
  }
  auto series = std::make_shared<Series>(family->second.kind, std::move(buckets));
  all[std::move(labels)] = series;
  return series;
}

std::vector<prometheus::MetricFamily> CustomMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> out;
  std::lock_guard lock(mutex_);
  for (const auto& [name, family] : families_) {
    prometheus::MetricFamily shown;
    shown.name = name;
    shown.help = family.help;
    shown.type = family.kind == MetricKind::kCounter ? prometheus::MetricType::Counter
                 : family.kind == MetricKind::kGauge ? prometheus::MetricType::Gauge
                                                     : prometheus::MetricType::Histogram;
    for (const auto& [labels, held] : family.series) {
      auto series = held.lock();
      if (!series) continue;
      prometheus::ClientMetric metric;
      for (const auto& [key, value] : labels) metric.label.push_back({key, value});
      std::lock_guard values(series->mutex_);
      if (family.kind == MetricKind::kCounter) metric.counter.value = series->value_;
      if (family.kind == MetricKind::kGauge) metric.gauge.value = series->value_;
      if (family.kind == MetricKind::kHistogram) {
        metric.histogram.sample_count = series->count_;
        metric.histogram.sample_sum = series->value_;
        std::uint64_t below = 0;
        for (std::size_t i = 0; i < series->counts_.size(); ++i) {
          below += series->counts_[i];
          double bound = i < series->bounds_.size() ? series->bounds_[i] : std::numeric_limits<double>::infinity();
          metric.histogram.bucket.push_back({below, bound});
        }
      }
      shown.metric.push_back(std::move(metric));
    }
    if (!shown.metric.empty()) out.push_back(std::move(shown));
  }
  return out;
}

bool CustomMetrics::Series::Increment(double by) {
  if (kind_ == MetricKind::kHistogram || (kind_ == MetricKind::kCounter && !(by >= 0))) return false;
  std::lock_guard lock(mutex_);
  value_ += by;
  return true;
}

bool CustomMetrics::Series::Set(double value) {
  if (kind_ != MetricKind::kGauge) return false;
  std::lock_guard lock(mutex_);
  value_ = value;
  return true;
}

bool CustomMetrics::Series::Observe(double value) {
  if (kind_ != MetricKind::kHistogram) return false;
  std::lock_guard lock(mutex_);
  auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  ++counts_[static_cast<std::size_t>(bucket)];
  ++count_;
  value_ += value;
  return true;
}

double CustomMetrics::Series::value() const {
  std::lock_guard lock(mutex_);
  return value_;
}

}  // namespace nereid

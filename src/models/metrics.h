// Triton's metrics of the models, collected at scrape out of the statistics.
#pragma once

#include <memory>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "metrics/custom_metrics.h"
#include "models/model_server.h"

namespace nereid::models {

class ModelMetrics final : public prometheus::Collectable {
 public:
  // `server` and `custom`, the metrics that models define, outlive this. `cpu`: nv_cpu_* out of /proc too.
  ModelMetrics(const ModelServer& server, const CustomMetrics& custom, bool cpu) : server_(server), custom_(custom), cpu_(cpu) {}
  std::vector<prometheus::MetricFamily> Collect() const override;
  // Prometheus text.
  std::string Render() const;

 private:
  void CollectCpu(std::vector<prometheus::MetricFamily>& families) const;

  const ModelServer& server_;
  const CustomMetrics& custom_;
  const bool cpu_;
  // Busy and total ticks at the last scrape: utilisation is what happened between two scrapes.
  mutable std::mutex mutex_;
  mutable std::uint64_t last_busy_ = 0, last_total_ = 0;  // guarded by mutex_
};

}  // namespace nereid::models

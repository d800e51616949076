#include "models/metrics.h"

#include <fstream>
#include <sstream>
#include <string>

#include <prometheus/text_serializer.h>

namespace nereid::models {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct Row {
  const char* name;
  const char* help;
  std::uint64_t (*value)(const ModelStats&);
};

constexpr Row kCounters[] = {
    {"nv_inference_request_success", "Number of successful inference requests, all batch sizes",
     [](const ModelStats& s) { return s.success.count; }},
    {"nv_inference_count", "Number of inferences performed (does not include cached requests)",
     [](const ModelStats& s) { return s.inference_count; }},
    {"nv_inference_exec_count", "Number of model executions performed (does not include cached requests)",
     [](const ModelStats& s) { return s.execution_count; }},
    {"nv_inference_request_duration_us", "Cumulative inference request duration in microseconds (includes cached requests)",
     [](const ModelStats& s) { return s.success.ns / 1000; }},
    {"nv_inference_queue_duration_us", "Cumulative inference queuing duration in microseconds (includes cached requests)",
     [](const ModelStats& s) { return s.queue.ns / 1000; }},
    {"nv_inference_compute_input_duration_us", "Cumulative compute input duration in microseconds (does not include cached requests)",
     [](const ModelStats& s) { return s.compute_input.ns / 1000; }},
    {"nv_inference_compute_infer_duration_us", "Cumulative compute inference duration in microseconds (does not include cached requests)",
     [](const ModelStats& s) { return s.compute_infer.ns / 1000; }},
    {"nv_inference_compute_output_duration_us",
     "Cumulative inference compute output duration in microseconds (does not include cached requests)",
     [](const ModelStats& s) { return s.compute_output.ns / 1000; }},
};

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void Add(MetricFamily& family, std::vector<ClientMetric::Label> labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) metric.counter.value = value;
  else metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

}  // namespace

std::vector<MetricFamily> ModelMetrics::Collect() const {
  struct Version {
    std::vector<ClientMetric::Label> labels;
    ModelStats stats;
    const ModelServer::VersionNumbers* numbers;
  };
  auto numbers = server_.Numbers();
  std::vector<Version> versions;
  for (const auto& each : numbers)
    versions.push_back({{{"model", each.model}, {"version", std::to_string(each.version)}}, each.statistics->Snapshot(), &each});

  std::vector<MetricFamily> families;
  for (const Row& row : kCounters) {
    families.push_back(Family(row.name, row.help, MetricType::Counter));
    for (const Version& version : versions) Add(families.back(), version.labels, static_cast<double>(row.value(version.stats)));
  }
  MetricFamily failures =
      Family("nv_inference_request_failure", "Number of failed inference requests, all batch sizes", MetricType::Counter);
  MetricFamily pending = Family("nv_inference_pending_request_count",
                                "Instantaneous number of pending requests awaiting execution per-model.", MetricType::Gauge);
  MetricFamily load = Family("nv_model_load_duration_secs", "Model load time in seconds", MetricType::Gauge);
  for (const Version& version : versions) {
    for (int reason = 0; reason < kFailureReasonCount; ++reason) {
      auto labels = version.labels;
      labels.insert(labels.begin() + 1, {"reason", std::string(FailureReasonName(static_cast<FailureReason>(reason)))});
      Add(failures, std::move(labels), static_cast<double>(version.numbers->statistics->Failures(static_cast<FailureReason>(reason))));
    }
    Add(pending, version.labels, static_cast<double>(version.numbers->statistics->pending()));
    Add(load, version.labels, version.numbers->load_seconds);
  }
  families.push_back(std::move(failures));
  families.push_back(std::move(pending));
  families.push_back(std::move(load));
  // There is no pinned memory without a GPU; dashboards expect the names.
  for (auto [name, help] : {std::pair{"nv_pinned_memory_pool_total_bytes", "Pinned memory pool total memory size, in bytes"},
                            std::pair{"nv_pinned_memory_pool_used_bytes", "Pinned memory pool used memory size, in bytes"}}) {
    families.push_back(Family(name, help, MetricType::Gauge));
    Add(families.back(), {}, 0);
  }
  if (cpu_) CollectCpu(families);
  for (auto& family : custom_.Collect()) families.push_back(std::move(family));
  return families;
}

std::string ModelMetrics::Render() const {
  return prometheus::TextSerializer().Serialize(Collect());
}

void ModelMetrics::CollectCpu(std::vector<MetricFamily>& families) const {
  std::uint64_t busy = 0, total = 0;
  {
    std::ifstream file("/proc/stat");
    std::string word;
    file >> word;
    std::uint64_t ticks;
    for (int i = 0; i < 8 && file >> ticks; ++i) {
      total += ticks;
      if (i != 3 && i != 4) busy += ticks;  // not idle, not waiting for a disk
    }
  }
  double utilisation = 0;
  {
    std::lock_guard lock(mutex_);
    if (total > last_total_) utilisation = static_cast<double>(busy - last_busy_) / static_cast<double>(total - last_total_);
    last_busy_ = busy;
    last_total_ = total;
  }
  std::uint64_t memory_total = 0, memory_available = 0;
  std::ifstream file("/proc/meminfo");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    std::uint64_t kilobytes = 0;
    words >> key >> kilobytes;
    if (key == "MemTotal:") memory_total = kilobytes * 1024;
    if (key == "MemAvailable:") memory_available = kilobytes * 1024;
  }
  auto gauge = [&](const char* name, const char* help, double value) {
    families.push_back(Family(name, help, MetricType::Gauge));
    Add(families.back(), {}, value);
  };
  gauge("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]", utilisation);
  gauge("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes", static_cast<double>(memory_total));
  gauge("nv_cpu_memory_used_bytes", "CPU used memory (RAM), in bytes", static_cast<double>(memory_total - memory_available));
}

}  // namespace nereid::models

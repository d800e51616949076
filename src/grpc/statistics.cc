#include "grpc/statistics.h"

#include <fmt/format.h>

#include "proto/grpc_service.pb.h"

namespace nereid::grpc_front {
namespace {

void Set(const DurationStat& stat, inference::StatisticDuration* out) {
  out->set_count(stat.count);
  out->set_ns(stat.ns);
}

void FillResponse(const ResponseStat& stat, inference::InferResponseStatistics& out) {
  Set(stat.compute_infer, out.mutable_compute_infer());
  Set(stat.compute_output, out.mutable_compute_output());
  Set(stat.success, out.mutable_success());
  Set(stat.fail, out.mutable_fail());
  Set(stat.empty_response, out.mutable_empty_response());
  Set(stat.cancel, out.mutable_cancel());
}

}  // namespace

void FillStatistics(const ModelStats& stats, inference::ModelStatistics& out) {
  out.set_name(stats.name);
  out.set_version(fmt::format("{}", stats.version));
  out.set_last_inference(stats.last_inference_ms);
  out.set_inference_count(stats.inference_count);
  out.set_execution_count(stats.execution_count);
  inference::InferStatistics& times = *out.mutable_inference_stats();
  Set(stats.success, times.mutable_success());
  Set(stats.fail, times.mutable_fail());
  Set(stats.queue, times.mutable_queue());
  Set(stats.compute_input, times.mutable_compute_input());
  Set(stats.compute_infer, times.mutable_compute_infer());
  Set(stats.compute_output, times.mutable_compute_output());
  Set(stats.cache_hit, times.mutable_cache_hit());
  Set(stats.cache_miss, times.mutable_cache_miss());
  for (const BatchStat& batch : stats.batches) {
    auto& row = *out.add_batch_stats();
    row.set_batch_size(static_cast<std::uint64_t>(batch.batch_size));
    Set(batch.compute_input, row.mutable_compute_input());
    Set(batch.compute_infer, row.mutable_compute_infer());
    Set(batch.compute_output, row.mutable_compute_output());
  }
  for (const MemoryUsage& memory : stats.memory) {
    auto& row = *out.add_memory_usage();
    row.set_type(memory.type);
    row.set_id(memory.id);
    row.set_byte_size(memory.byte_size);
  }
  for (const auto& [index, response] : stats.responses) FillResponse(response, (*out.mutable_response_stats())[index]);
}

}  // namespace nereid::grpc_front

#include "models/statistics.h"

namespace nereid::models {
namespace {

std::uint64_t Between(SteadyTime from, SteadyTime to) {
  return to > from ? static_cast<std::uint64_t>(std::chrono::duration_cast<Nanos>(to - from).count()) : 0;
}

void Add(DurationStat& stat, std::uint64_t ns) {
  ++stat.count;
  stat.ns += ns;
}

}  // namespace

std::string_view FailureReasonName(FailureReason reason) {
  switch (reason) {
    case FailureReason::kRejected: return "REJECTED";
    case FailureReason::kCanceled: return "CANCELED";
    case FailureReason::kBackend: return "BACKEND";
    case FailureReason::kOther: return "OTHER";
  }
  return "OTHER";
}

void Statistics::Succeeded(const Request& request, WallTime now) {
  std::lock_guard lock(mutex_);
  totals_.last_inference_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<Millis>(now.time_since_epoch()).count());
  totals_.inference_count += static_cast<std::uint64_t>(request.batch_size);
  Add(totals_.success, Between(request.arrival, request.ended));
  Add(totals_.queue, Between(request.enqueued, request.started));
  Add(totals_.compute_input, Between(request.times.start, request.times.input_end));
  Add(totals_.compute_infer, Between(request.times.input_end, request.times.output_start));
  Add(totals_.compute_output, Between(request.times.output_start, request.times.end));
}

void Statistics::Failed(const Request& request, FailureReason reason) {
  std::lock_guard lock(mutex_);
  Add(totals_.fail, Between(request.arrival, request.ended));
  ++failures_[static_cast<int>(reason)];
}

void Statistics::Executed(std::int64_t batch_size, const ComputeTimes& times) {
  std::lock_guard lock(mutex_);
  ++totals_.execution_count;
  BatchStat& batch = batches_[batch_size];
  batch.batch_size = batch_size;
  Add(batch.compute_input, Between(times.start, times.input_end));
  Add(batch.compute_infer, Between(times.input_end, times.output_start));
  Add(batch.compute_output, Between(times.output_start, times.end));
}

ModelStats Statistics::Snapshot() const {
  std::lock_guard lock(mutex_);
  ModelStats out = totals_;
  for (const auto& [size, batch] : batches_) out.batches.push_back(batch);
  return out;
}

std::uint64_t Statistics::Failures(FailureReason reason) const {
  std::lock_guard lock(mutex_);
  return failures_[static_cast<int>(reason)];
}

}  // namespace nereid::models

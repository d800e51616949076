// What a version has done: one set of numbers, read by the statistics API and by the metrics at scrape, so that nothing is counted twice.
#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "api/infer.h"
#include "api/model_service.h"

namespace nereid::models {

enum class FailureReason : std::uint8_t { kRejected, kCanceled, kBackend, kOther };
inline constexpr int kFailureReasonCount = 4;
std::string_view FailureReasonName(FailureReason reason);  // "REJECTED", ...

// Any thread. A short lock: at the rates of one model it is never contended for long.
class Statistics {
 public:
  struct Request {
    SteadyTime arrival, enqueued, started, ended;
    std::int64_t batch_size = 1;
    ComputeTimes times;
  };
  void Succeeded(const Request& request, WallTime now);
  void Failed(const Request& request, FailureReason reason);
  // Once for each execution of a batch.
  void Executed(std::int64_t batch_size, const ComputeTimes& times);

  ModelStats Snapshot() const;
  std::uint64_t Failures(FailureReason reason) const;
  // nv_inference_request_duration_us and ..._queue_duration_us count successes; of failures only the number is kept.
  void AddPending(std::int64_t by) { pending_.fetch_add(by, std::memory_order_relaxed); }
  std::int64_t pending() const { return pending_.load(std::memory_order_relaxed); }

 private:
  mutable std::mutex mutex_;
  ModelStats totals_;                                 // guarded by mutex_
  std::map<std::int64_t, BatchStat> batches_;         // guarded by mutex_; at most max_batch_size entries
  std::uint64_t failures_[kFailureReasonCount] = {};  // guarded by mutex_
  std::atomic<std::int64_t> pending_{0};
};

}  // namespace nereid::models

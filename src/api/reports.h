// Cost reports out of the ledger's projection.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/money.h"
#include "net/task.h"

namespace nereid {

struct UsageFilter {
  double hours = 24;
  std::optional<std::string> key, model, target, task, day;  // day: YYYY-MM-DD in UTC
};
struct ModelUsage {
  std::string model;
  std::int64_t tokens = 0, requests = 0;
  NanoUsd charge = 0;
};
struct UsageReport {
  double period_hours = 24;
  std::int64_t total_requests = 0, total_tokens = 0;
  NanoUsd total_charge = 0;
  double avg_latency_ms = 0;
  std::vector<ModelUsage> models;  // by name
  WallTime watermark{};            // everything settled before it is in the report
};

class Reports {
 public:
  virtual ~Reports() = default;
  // Waits until everything settled before the call is in the projection (at most 1 s), then reads. On an io thread.
  virtual net::Task<UsageReport> Usage(UsageFilter filter) = 0;
};

}  // namespace nereid

// The load generator: one thread, one epoll, many connections.
#pragma once

#include <functional>
#include <string>

#include "base/status.h"
#include "cli/bench/recorder.h"

namespace nereid::cli {

struct LoadPlan {
  std::string host = "127.0.0.1";
  int port = 80;
  std::string request;  // the whole request, head and body
  int connections = 1;
  double rate = 0;  // requests a second in an open loop; 0: closed loop
  double duration_s = 5, warm_up_s = 0.5;
  std::uint64_t requests_max = 0;  // 0: until the time is up
};

// Latency in the open loop counts from when a request was due, not from when it could be sent. `progress(seconds, requests)` is called
// about once a second.
Result<Record> RunLoad(const LoadPlan& plan, const std::function<void(double, std::uint64_t)>& progress,
                       const std::function<void()>& warmed);

}  // namespace nereid::cli

// What --backend-config=python,... and a model's parameters say.
#pragma once

#include <map>
#include <string>

#include "backends/python/channel.h"
#include "base/clock.h"
#include "base/status.h"

namespace inference {
class ModelConfig;
}

namespace nereid::python {

struct Options {
  // Triton's.
  RegionSizes sizes;                           // shm-default-byte-size, shm-growth-byte-size
  std::string region_prefix = "nereid";        // shm-region-prefix-name: only what /proc shows, since no region has a name to be found by
  Nanos stub_limit{std::chrono::seconds(30)};  // stub-timeout-seconds: until a worker answers, and for finalize()
  // Ours; a model's parameter of the same name in capitals, with '_' for '-', goes first.
  std::string executable = "python3";
  Nanos execute_limit{std::chrono::seconds(600)};  // execute-timeout-seconds; 0: none
  std::uint64_t memory_limit_bytes = 0;            // memory-limit-bytes: of a worker's own memory; 0: none
  bool check_outputs = true;                       // check-outputs

  // Errors name the setting. `memory_bytes`: of the machine.
  static Result<Options> Parse(const std::map<std::string, std::string>& settings, std::uint64_t memory_bytes);
  Result<Options> WithParametersOf(const inference::ModelConfig& config) const;
};

}  // namespace nereid::python

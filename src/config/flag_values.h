// Values of Triton's flags that have a grammar of their own. Errors are Triton's lines.
#pragma once

#include "config/flag_table.h"

namespace nereid::config {

Result<Nothing> ApplyBackendConfig(FlagState& state, std::string_view value);
Result<Nothing> ApplyCacheConfig(FlagState& state, std::string_view value);
Result<Nothing> ApplyResponseCacheBytes(FlagState& state, std::string_view value);
Result<Nothing> ApplyCacheDirectory(FlagState& state, std::string_view value);
Result<Nothing> ApplyControlMode(FlagState& state, std::string_view value);
Result<Nothing> ApplyStrictModelConfig(FlagState& state, std::string_view value);
Result<Nothing> ApplyNoAutoComplete(FlagState& state, std::string_view value);
Result<Nothing> ApplyLoadThreads(FlagState& state, std::string_view value);
Result<Nothing> ApplyExitTimeout(FlagState& state, std::string_view value);
Result<Nothing> ApplyLogFormat(FlagState& state, std::string_view value);
Result<Nothing> ApplyCompression(FlagState& state, std::string_view value);
Result<Nothing> ApplyHttpHeaderPattern(FlagState& state, std::string_view value);
Result<Nothing> ApplyHttpRestricted(FlagState& state, std::string_view value);
Result<Nothing> ApplyGrpcRestricted(FlagState& state, std::string_view value);
Result<Nothing> ApplyV2Auth(FlagState& state, std::string_view value);
Result<Nothing> ApplySet(FlagState& state, std::string_view value);
Result<Nothing> CheckRateLimit(FlagState& state, std::string_view value);
Result<Nothing> CheckRateLimitResource(FlagState& state, std::string_view value);
Result<Nothing> CheckTraceConfig(FlagState& state, std::string_view value);
Result<Nothing> CheckTraceLevel(FlagState& state, std::string_view value);
Result<Nothing> CheckMetricsConfig(FlagState& state, std::string_view value);
Result<Nothing> CheckHostPolicy(FlagState& state, std::string_view value);
Result<Nothing> CheckPairOfNumbers(FlagState& state, std::string_view value);
Result<Nothing> CheckGpuLimit(FlagState& state, std::string_view value);
Result<Nothing> CheckPortRange(FlagState& state, std::string_view value);
Result<Nothing> CheckFraction(FlagState& state, std::string_view value);

}  // namespace nereid::config

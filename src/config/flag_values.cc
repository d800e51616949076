#include "config/flag_values.h"

#include <array>
#include <set>

#include "config/set.h"
#include "config/text.h"

namespace nereid::config {
namespace {

std::unexpected<Status> Usage(std::string line) {
  return Error(Code::kInvalidArgument, std::move(line), "usage");
}

std::string Lower(std::string_view text) {
  std::string lower;
  for (char c : text) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return lower;
}

// "a,b=c": {"a", "b", "c"}; without a comma before the '=' the name is empty. Nothing when a part is missing.
struct Setting {
  std::string name, setting, value;
};
std::optional<Setting> SplitSetting(std::string_view text) {
  std::size_t comma = text.find(','), equals = text.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  if (comma > equals) comma = std::string_view::npos;
  std::size_t begin = comma == std::string_view::npos ? 0 : comma + 1;
  Setting parts{std::string(comma == std::string_view::npos ? "" : text.substr(0, comma)), std::string(text.substr(begin, equals - begin)),
                std::string(text.substr(equals + 1))};
  if (parts.setting.empty() || parts.value.empty()) return std::nullopt;
  return parts;
}

Result<std::pair<std::string_view, std::string_view>> Pair(std::string_view value) {
  std::size_t colon = value.find(':');
  if (colon == std::string_view::npos || value.find(':', colon + 1) != std::string_view::npos)
    return Usage(fmt::format(
        "Cannot parse pair option due to incorrect number of inputs.--<pair option> argument requires format <first>:<second>. Found: {}",
        value));
  return std::pair(value.substr(0, colon), value.substr(colon + 1));
}

Result<double> Number(std::string_view text) {
  // strtod: libstdc++'s from_chars for double is fine too, but takes neither a leading plus nor hexadecimal as Triton's stod does.
  std::string copy(text);
  char* end = nullptr;
  double number = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != 0) return Usage(fmt::format("Invalid option value. Got {}", text));
  return number;
}

Result<Nothing> ParseRestricted(std::string_view flag, std::string_view noun, std::string_view value, std::vector<RestrictedApi>& rules) {
  static constexpr std::array<std::string_view, 9> kCategories = {
      "health", "metadata", "inference", "shared-memory", "model-config", "model-repository", "statistics", "trace", "logging"};
  std::size_t colon = value.find(':'), equals = colon == std::string_view::npos ? colon : value.find('=', colon);
  if (equals == std::string_view::npos || colon == 0 || equals == colon + 1)
    return Usage(fmt::format("--{} option format is '<config name>:<setting>=<value>'. Got {}", flag, value));
  RestrictedApi rule;
  rule.header = value.substr(colon + 1, equals - colon - 1);
  rule.value = value.substr(equals + 1);
  for (std::string_view rest = value.substr(0, colon); !rest.empty();) {
    std::size_t comma = std::min(rest.find(','), rest.size());
    std::string category(rest.substr(0, comma));
    if (std::ranges::find(kCategories, category) == kCategories.end())
      return Usage(fmt::format("unknown restricted {} '{}'", noun, category));
    for (const RestrictedApi& other : rules) {
      if (std::ranges::find(other.categories, category) != other.categories.end())
        return Usage(fmt::format("restricted {} '{}' can not be specified in multiple config groups", noun, category));
    }
    rule.categories.push_back(std::move(category));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  rules.push_back(std::move(rule));
  return Nothing{};
}

}  // namespace

Result<Nothing> ApplyBackendConfig(FlagState& state, std::string_view value) {
  auto parts = SplitSetting(value);
  if (!parts)
    return Usage(fmt::format("--backend-config option format is <backend name>,<setting>=<value> or <setting>=<value>. Got {}", value));
  state.options.config.models.backends[parts->name][parts->setting] = parts->value;
  return Nothing{};
}

Result<Nothing> ApplyCacheConfig(FlagState& state, std::string_view value) {
  auto parts = SplitSetting(value);
  if (value.find(',') == std::string_view::npos || (parts && parts->name.empty()))
    return Usage(fmt::format("No cache specified. --cache-config option format is <cache name>,<setting>=<value>. Got {}", value));
  if (!parts) return Usage(fmt::format("--cache-config option format is '<cache name>,<setting>=<value>'. Got {}", value));
  state.caches[parts->name][parts->setting] = parts->value;
  return Nothing{};
}

Result<Nothing> ApplyResponseCacheBytes(FlagState& state, std::string_view value) {
  state.options.warnings.push_back(fmt::format(
      "'--response-cache-byte-size' has been deprecated! This will default to the 'local' cache implementation with the provided byte size for its "
      "config. Please use '--cache-config' instead. The equivalent --cache-config CLI args would be: '--cache-config=local,size={}'",
      value));
  state.caches["local"]["size"] = value;
  return Nothing{};
}

Result<Nothing> ApplyCacheDirectory(FlagState& state, std::string_view value) {
  state.cache_directory = value;
  return Nothing{};
}

Result<Nothing> ApplyControlMode(FlagState& state, std::string_view value) {
  if (!FromText(value, state.options.config.models.control, {})) return Usage("invalid argument for --model-control-mode");
  return Nothing{};
}

Result<Nothing> ApplyStrictModelConfig(FlagState& state, std::string_view value) {
  state.options.warnings.emplace_back("'--strict-model-config' has been deprecated! Please use '--disable-auto-complete-config' instead.");
  state.options.config.models.auto_complete = value == "false";
  return Nothing{};
}

Result<Nothing> ApplyNoAutoComplete(FlagState& state, std::string_view) {
  state.options.config.models.auto_complete = false;
  return Nothing{};
}

// Triton takes 0 and below and goes on with its own number; so do we.
Result<Nothing> ApplyLoadThreads(FlagState& state, std::string_view value) {
  return value == "0" || value.starts_with('-') ? Result<Nothing>(Nothing{}) : SetPath(state.options.config, "models.load_threads", value);
}

Result<Nothing> ApplyExitTimeout(FlagState& state, std::string_view value) {
  return SetPath(state.options.config, "server.exit_timeout_s", value.starts_with('-') ? "0" : value);
}

Result<Nothing> ApplyLogFormat(FlagState& state, std::string_view value) {
  if (value != "default" && value != "ISO8601") return Usage("invalid argument for --log-format");
  state.options.config.log.iso8601 = value == "ISO8601";
  return Nothing{};
}

Result<Nothing> ApplyCompression(FlagState& state, std::string_view value) {
  // Triton's line spells the flag with underscores.
  if (!SetPath(state.options.config, "server.grpc.compression", value))
    return Usage("invalid argument for --grpc_infer_response_compression_level");
  return Nothing{};
}

Result<Nothing> ApplyHttpHeaderPattern(FlagState& state, std::string_view value) {
  state.options.config.server.http.header_forward_pattern = value;
  return Nothing{};
}

Result<Nothing> ApplyHttpRestricted(FlagState& state, std::string_view value) {
  return ParseRestricted("http-restricted-api", "api", value, state.options.config.server.http.restricted);
}

Result<Nothing> ApplyGrpcRestricted(FlagState& state, std::string_view value) {
  return ParseRestricted("grpc-restricted-protocol", "protocol", value, state.options.config.server.grpc.restricted);
}

Result<Nothing> ApplyV2Auth(FlagState& state, std::string_view value) {
  if (!FromText(value, state.options.config.server.auth.v2, {}))
    return Usage(fmt::format("invalid value for --v2-auth: {}. Expected open, infer or required", value));
  return Nothing{};
}

Result<Nothing> ApplySet(FlagState& state, std::string_view value) {
  std::size_t equals = value.find('=');
  if (equals == std::string_view::npos || equals == 0) return Usage(fmt::format("--set option format is PATH=VALUE. Got {}", value));
  auto set = SetPath(state.options.config, value.substr(0, equals), value.substr(equals + 1));
  if (!set) return Usage("--set: " + set.error().message);
  return Nothing{};
}

Result<Nothing> CheckRateLimit(FlagState& state, std::string_view value) {
  if (value != "execution_count" && value != "off") return Usage("invalid argument for --rate-limit");
  if (value == "execution_count")
    state.options.warnings.emplace_back("--rate-limit=execution_count is accepted; instances are not rate limited in this version");
  return Nothing{};
}

Result<Nothing> CheckRateLimitResource(FlagState& state, std::string_view value) {
  std::size_t parts = 1 + static_cast<std::size_t>(std::ranges::count(value, ':'));
  if (parts != 2 && parts != 3)
    return Usage(fmt::format(
        "--rate-limit-resource option format is '<resource_name>:<count>:<device>' or '<resource_name>:<count>'. Got {}", value));
  for (std::size_t colon = value.find(':'); colon != std::string_view::npos; colon = value.find(':', colon + 1)) {
    TRY_DO(NormalFlagValue(FlagKind::kInteger, value.substr(colon + 1, value.find(':', colon + 1) - colon - 1)));
  }
  state.options.warnings.emplace_back("--rate-limit-resource is accepted; instances are not rate limited in this version");
  return Nothing{};
}

Result<Nothing> CheckTraceLevel(FlagState& state, std::string_view value) {
  std::string level = Lower(value);
  if (level != "off" && level != "timestamps" && level != "tensors" && level != "min" && level != "max")
    return Usage("invalid value for trace level option: " + level);
  if (level != "off") state.options.warnings.emplace_back("trace levels are accepted; nothing is traced in this version");
  return Nothing{};
}

Result<Nothing> CheckTraceConfig(FlagState& state, std::string_view value) {
  auto parts = SplitSetting(value);
  if (!parts) return Usage(fmt::format("--trace-config option format is '<mode>,<setting>=<value>'. Got {}", value));
  const auto& [mode, setting, text] = *parts;
  if (!mode.empty() && mode != "triton" && mode != "opentelemetry")
    return Usage(fmt::format("invalid value for trace mode option: {}. Available options are \"triton\" and \"opentelemetry\"", mode));
  if (!mode.empty()) return Nothing{};
  if (setting == "level") return CheckTraceLevel(state, text);
  if (setting == "mode" && text != "triton" && text != "opentelemetry")
    return Usage(fmt::format("invalid value for trace mode option: {}. Available options are \"triton\" and \"opentelemetry\"", text));
  if (setting == "rate" || setting == "count") TRY_DO(NormalFlagValue(FlagKind::kInteger, text));
  return Nothing{};
}

Result<Nothing> CheckMetricsConfig(FlagState& state, std::string_view value) {
  auto parts = SplitSetting(value);
  if (!parts || !parts->name.empty()) return Usage(fmt::format("--metrics-config option format is '<setting>=<value>'. Got {}", value));
  if (parts->setting == "summary_latencies" || parts->setting == "histogram_latencies" || parts->setting == "counter_latencies")
    TRY_DO(NormalFlagValue(FlagKind::kBoolean, parts->value));
  state.options.warnings.push_back(fmt::format("--metrics-config {} is accepted and has no effect in this version", parts->setting));
  return Nothing{};
}

Result<Nothing> CheckHostPolicy(FlagState& state, std::string_view value) {
  auto parts = SplitSetting(value);
  if (!parts || parts->name.empty())
    return Usage(fmt::format("No host policy specified. --host-policy option format is <policy name>,<setting>=<value>. Got {}", value));
  state.options.warnings.emplace_back("--host-policy is accepted and has no effect in this version");
  return Nothing{};
}

Result<Nothing> CheckPairOfNumbers(FlagState&, std::string_view value) {
  TRY(auto pair, Pair(value));
  TRY_DO(NormalFlagValue(FlagKind::kInteger, pair.first));
  TRY_DO(NormalFlagValue(FlagKind::kInteger, pair.second));
  return Nothing{};
}

Result<Nothing> CheckGpuLimit(FlagState& state, std::string_view value) {
  TRY(auto pair, Pair(value));
  TRY_DO(NormalFlagValue(FlagKind::kInteger, pair.first));
  TRY(double fraction, Number(pair.second));
  if (fraction < 0 || fraction > 1)
    return Usage(fmt::format("--model-load-gpu-limit expects limit fraction to be in range [0.0, 1.0], got {}", pair.second));
  state.options.warnings.emplace_back("--model-load-gpu-limit is accepted and has no effect in this version");
  return Nothing{};
}

Result<Nothing> CheckPortRange(FlagState&, std::string_view value) {
  std::size_t dash = value.find('-');
  if (dash == std::string_view::npos)
    return Usage(fmt::format(
        "Cannot parse pair option due to incorrect number of inputs.--<pair option> argument requires format <first>-<second>. Found: {}",
        value));
  TRY_DO(NormalFlagValue(FlagKind::kInteger, value.substr(0, dash)));
  TRY_DO(NormalFlagValue(FlagKind::kInteger, value.substr(dash + 1)));
  return Nothing{};
}

Result<Nothing> CheckFraction(FlagState&, std::string_view value) {
  TRY_DO(Number(value));
  return Nothing{};
}

}  // namespace nereid::config

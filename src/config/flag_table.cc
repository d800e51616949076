#include "config/flag_table.h"

#include "config/flag_values.h"

namespace nereid::config {
namespace {

using enum FlagKind;

constexpr Flag kFlags[] = {
    {"help", kSwitch, "", "Print this text"},
    // Ours.
    {"config", kCustom, "", "nereid.yaml; flags override it by the same paths", nullptr, true},
    {"print-config", kSwitch, "", "Print the resulting configuration as YAML and leave", nullptr, true},
    {"set", kCustom, "", "PATH=VALUE: any setting of the configuration file, as server.http.idle_timeout_ms=5000", ApplySet, true},
    {"state-folder", kText, "server.state_folder", "Where keys and the ledger live. Default: $XDG_STATE_HOME/nereid", nullptr, true},
    {"v2-auth", kCustom, "", "open, infer or required: who may call /v2 without a key. Default: infer; open when called as tritonserver",
     ApplyV2Auth, true},
    {"max-inflight-bytes", kText, "server.inflight_bytes_max",
     "Bytes of queued requests over the whole server. Default: a quarter of the memory", nullptr, true},
    // Server.
    {"id", kText, "server.id", "Identifier for this server"},
    {"exit-timeout-secs", kInteger, "", "Seconds for requests in flight to end on exit. Default: 30", ApplyExitTimeout},
    {"exit-on-error", kBoolean, "models.exit_on_error", "Exit when a model fails to load at the start. Default: true"},
    {"strict-readiness", kBoolean, "models.strict_readiness", "Ready only when all models are. Default: true"},
    // Models.
    {"model-repository", kText, "models.repositories", "Path of a model repository; may be repeated"},
    {"model-store", kText, "models.repositories", "The same as --model-repository"},
    {"model-control-mode", kCustom, "", "none, poll or explicit. Default: none", ApplyControlMode},
    {"load-model", kText, "models.load", "Model to load at the start in explicit mode; may be repeated; * for all"},
    {"repository-poll-secs", kInteger, "models.poll_s", "Seconds between two polls. Default: 15"},
    {"disable-auto-complete-config", kSwitch, "", "Take config.pbtxt as it stands", ApplyNoAutoComplete},
    {"strict-model-config", kBoolean, "", "Deprecated: see --disable-auto-complete-config", ApplyStrictModelConfig},
    {"model-config-name", kText, "models.config_name", "Name of the configuration file below configs/, without .pbtxt"},
    {"model-namespacing", kBoolean, "", "Names unique by repository only"},
    {"model-load-thread-count", kInteger, "", "Models loaded at the same time. Default: 4", ApplyLoadThreads},
    {"model-load-retry-count", kInteger, "models.load_retries", "Further tries for a model that fails to load. Default: 0"},
    {"model-load-gpu-limit", kCustom, "", "DEVICE:FRACTION of its memory that models may use", CheckGpuLimit},
    {"backend-directory", kText, "", "Folder of custom backends"},
    {"backend-config", kCustom, "", "BACKEND,SETTING=VALUE or SETTING=VALUE; may be repeated", ApplyBackendConfig},
    {"repoagent-directory", kText, "", "Folder of repository agents"},
    // HTTP.
    {"allow-http", kBoolean, "server.http.enabled", "Default: true"},
    {"http-address", kText, "server.http.address", "Default: 0.0.0.0 as tritonserver, 127.0.0.1 as nereid serve"},
    {"http-port", kInteger, "server.http.port", "Default: 8000; 0 takes a free one"},
    {"reuse-http-port", kBoolean, "server.http.reuse_port", "Share the port with another server. Default: false"},
    {"http-thread-count", kInteger, "server.http.threads", "Default: the number of cores, at most 4"},
    {"http-max-input-size", kText, "server.http.json_body_bytes_max", "Bytes of a JSON body. Default: 67108864"},
    {"http-header-forward-pattern", kCustom, "", "Headers that become request parameters", ApplyHttpHeaderPattern},
    {"http-restricted-api", kCustom, "", "API,...:HEADER=VALUE: calls that need the header; may be repeated", ApplyHttpRestricted},
    // gRPC.
    {"allow-grpc", kBoolean, "server.grpc.enabled", "Default: true"},
    {"grpc-address", kText, "server.grpc.address", "Default: as --http-address"},
    {"grpc-port", kInteger, "server.grpc.port", "Default: 8001; 0 takes a free one"},
    {"reuse-grpc-port", kBoolean, "server.grpc.reuse_port", "Share the port with another server. Default: false"},
    {"grpc-header-forward-pattern", kText, "server.grpc.header_forward_pattern", "Metadata that become request parameters"},
    {"grpc-infer-thread-count", kInteger, "server.grpc.infer_threads", "Io threads that take gRPC connections. Default: all"},
    {"grpc-infer-allocation-pool-size", kInteger, "", "States kept for reuse"},
    {"grpc-max-response-pool-size", kInteger, "", "Responses kept for reuse"},
    {"grpc-use-ssl", kBoolean, "server.grpc.tls", "Default: false"},
    {"grpc-use-ssl-mutual", kBoolean, "server.grpc.mutual_tls", "Ask clients for a certificate too. Default: false"},
    {"grpc-server-cert", kText, "server.grpc.certificate_file", "PEM file"},
    {"grpc-server-key", kText, "server.grpc.key_file", "PEM file"},
    {"grpc-root-cert", kText, "server.grpc.root_file", "PEM file of the clients' authority"},
    {"grpc-infer-response-compression-level", kCustom, "", "none, low, medium or high. Default: none", ApplyCompression},
    {"grpc-restricted-protocol", kCustom, "", "API,...:KEY=VALUE: calls that need the metadata triton-grpc-protocol-KEY",
     ApplyGrpcRestricted},
    {"grpc-keepalive-time", kInteger, "server.grpc.keepalive_time_ms", "Milliseconds between pings. Default: 7200000"},
    {"grpc-keepalive-timeout", kInteger, "server.grpc.keepalive_timeout_ms", "Milliseconds to wait for a ping's answer. Default: 20000"},
    {"grpc-keepalive-permit-without-calls", kBoolean, "server.grpc.keepalive_without_calls", "Default: false"},
    {"grpc-http2-max-pings-without-data", kInteger, "server.grpc.pings_without_data_max", "Default: 2"},
    {"grpc-http2-min-recv-ping-interval-without-data", kInteger, "server.grpc.ping_interval_without_data_ms", "Default: 300000"},
    {"grpc-http2-max-ping-strikes", kInteger, "server.grpc.ping_strikes_max", "Default: 2"},
    {"grpc-max-connection-age", kInteger, "server.grpc.connection_age_ms", "Milliseconds; 0: no limit"},
    {"grpc-max-connection-age-grace", kInteger, "server.grpc.connection_age_grace_ms", "Milliseconds; 0: no limit"},
    // Metrics and tracing.
    {"allow-metrics", kBoolean, "server.metrics.enabled", "Default: true"},
    {"metrics-address", kText, "server.metrics.address", "Default: as --http-address"},
    {"metrics-port", kInteger, "server.metrics.port", "Default: 8002; 0 takes a free one"},
    {"allow-gpu-metrics", kBoolean, "", "Default: true"},
    {"allow-cpu-metrics", kBoolean, "server.metrics.cpu", "Default: true"},
    {"metrics-interval-ms", kInteger, "server.metrics.interval_ms", "Default: 2000"},
    {"metrics-config", kCustom, "", "SETTING=VALUE; may be repeated", CheckMetricsConfig},
    {"trace-config", kCustom, "", "[MODE,]SETTING=VALUE; may be repeated", CheckTraceConfig},
    {"trace-file", kText, "", "Deprecated: see --trace-config"},
    {"trace-level", kCustom, "", "Deprecated: see --trace-config", CheckTraceLevel},
    {"trace-rate", kInteger, "", "Deprecated: see --trace-config"},
    {"trace-count", kInteger, "", "Deprecated: see --trace-config"},
    {"trace-log-frequency", kInteger, "", "Deprecated: see --trace-config"},
    // Log.
    {"log-verbose", kLevel, "log.verbose", "0: off. Default: 0"},
    {"log-info", kBoolean, "log.info", "Default: true"},
    {"log-warning", kBoolean, "log.warning", "Default: true"},
    {"log-error", kBoolean, "log.error", "Default: true"},
    {"log-format", kCustom, "", "default or ISO8601", ApplyLogFormat},
    {"log-file", kText, "log.file", "Default: stderr"},
    // Cache, rate limiter, memory, devices.
    {"cache-config", kCustom, "", "CACHE,SETTING=VALUE, as local,size=1048576", ApplyCacheConfig},
    {"cache-directory", kText, "", "Folder of cache libraries", ApplyCacheDirectory},
    {"response-cache-byte-size", kInteger, "", "Deprecated: see --cache-config", ApplyResponseCacheBytes},
    {"rate-limit", kCustom, "", "execution_count or off. Default: off", CheckRateLimit},
    {"rate-limit-resource", kCustom, "", "NAME:COUNT[:DEVICE]; may be repeated", CheckRateLimitResource},
    {"pinned-memory-pool-byte-size", kInteger, "", "Bytes"},
    {"cuda-memory-pool-byte-size", kCustom, "", "DEVICE:BYTES; may be repeated", CheckPairOfNumbers},
    {"cuda-virtual-address-size", kCustom, "", "DEVICE:BYTES; may be repeated", CheckPairOfNumbers},
    {"min-supported-compute-capability", kCustom, "", "As 6.0", CheckFraction},
    {"buffer-manager-thread-count", kInteger, "", "Default: 0"},
    {"host-policy", kCustom, "", "POLICY,SETTING=VALUE; may be repeated", CheckHostPolicy},
    {"enable-peer-access", kBoolean, "", "Default: true"},
    {"allow-client-shm", kBoolean, "", "Let clients register shared memory. Default: false"},
    // Other front ends.
    {"allow-sagemaker", kBoolean, "", "Default: false"},
    {"sagemaker-port", kInteger, "", "Default: 8080"},
    {"sagemaker-safe-port-range", kCustom, "", "FIRST-LAST", CheckPortRange},
    {"sagemaker-thread-count", kInteger, "", "Default: 8"},
    {"allow-vertex-ai", kBoolean, "", "Default: false"},
    {"vertex-ai-port", kInteger, "", "Default: 8080"},
    {"vertex-ai-thread-count", kInteger, "", "Default: 8"},
    {"vertex-ai-default-model", kText, "", "Model of the prediction route"},
};

std::unexpected<Status> Usage(std::string line) {
  return Error(Code::kInvalidArgument, std::move(line), "usage");
}

bool IsInteger(std::string_view value) {
  std::string_view digits = value.starts_with('-') || value.starts_with('+') ? value.substr(1) : value;
  return !digits.empty() && digits.size() <= 18 && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<std::string> Boolean(std::string_view value) {
  std::string lower;
  for (char c : value) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (lower == "true" || lower == "on" || lower == "1") return "true";
  if (lower == "false" || lower == "off" || lower == "0") return "false";
  return std::nullopt;
}

}  // namespace

std::span<const Flag> Flags() {
  return kFlags;
}

Result<std::string> NormalFlagValue(FlagKind kind, std::string_view value) {
  switch (kind) {
    case kText:
    case kSwitch:
    case kCustom: return std::string(value);
    case kInteger:
      if (!IsInteger(value)) return Usage(fmt::format("Invalid option value. Got {}", value));
      return std::string(value.starts_with('+') ? value.substr(1) : value);
    case kBoolean:
      if (auto boolean = Boolean(value)) return *boolean;
      return Usage(fmt::format("invalid value for bool option: {}", value));
    case kLevel:
      if (IsInteger(value)) return std::string(value.starts_with('+') ? value.substr(1) : value);
      if (auto boolean = Boolean(value)) return *boolean == "true" ? "1" : "0";
      return Usage(fmt::format("invalid value for bool option: {}", value));
  }
  Panic("a FlagKind without a case", __FILE__, __LINE__);
}

Result<Nothing> FinishFlags(FlagState& state) {
  for (const auto& [cache, settings] : state.caches) {
    if (cache != "local")
      return Error(Code::kInvalidArgument,
                   fmt::format("error: creating server: Invalid argument - unable to find 'libtritoncache_{}.so' for cache. Searched: {}",
                               cache, state.cache_directory));
    auto size = settings.find("size");
    if (size == settings.end() || !IsInteger(size->second))
      return Error(
          Code::kInvalidArgument,
          "error: creating server: Invalid argument - Failed to initialize LocalCache: config didn't contain a valid 'size' field.");
    state.options.warnings.push_back("--cache-config is accepted; responses are not cached in this version");
  }
  return Nothing{};
}

}  // namespace nereid::config

// Everything that can be set, typed, with defaults. ParseConfig and the flags are the only readers; modules get their sub-struct.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/money.h"
#include "base/status.h"

namespace nereid {

// A secret by reference; the value is read at use and never printed.
struct SecretRef {
  std::string source;  // "env:NAME" or "file:PATH"
};
// The secret's present value, without a trailing newline; an error names the reference, never a value.
Result<std::string> ReadSecret(const SecretRef& secret);

enum class V2Auth : std::uint8_t { kOpen, kInfer, kRequired };
enum class Durability : std::uint8_t { kRelaxed, kStrict };
enum class ControlMode : std::uint8_t { kNone, kPoll, kExplicit };

// Triton's restricted APIs: calls of these categories need the header. From flags only, and never printed: `value` is a secret.
struct RestrictedApi {
  std::vector<std::string> categories;  // "health", "metadata", "inference", "shared-memory", "model-config", ...
  std::string header, value;
};

struct HttpConfig {
  bool enabled = true;
  std::string address = "127.0.0.1";  // tritonserver: 0.0.0.0
  int port = 8000;                    // 0: any free port
  bool reuse_port = false;            // skip the probe for another server on the port
  int threads = 0;                    // 0: min(cores, 4)
  std::uint64_t head_bytes_max = 32 << 10;
  int header_count_max = 100;
  std::uint64_t json_body_bytes_max = 64 << 20;
  std::uint64_t binary_body_bytes_max = 1 << 30;
  std::uint64_t buffered_bytes_max = 0;  // request bodies over the whole server; 0: a quarter of the memory
  int head_timeout_ms = 10'000;          // from accept (or the previous answer's end, once a byte came) to the whole head
  int body_timeout_ms = 30'000;          // between two reads of a body
  int idle_timeout_ms = 75'000;          // keep-alive
  int write_timeout_ms = 30'000;         // a reader that takes nothing for so long is dropped
  int connections_max = 16'384;
  std::string header_forward_pattern;  // regular expression; matching headers become request parameters
  std::vector<RestrictedApi> restricted;
};

struct GrpcConfig {
  bool enabled = true;
  std::string address = "127.0.0.1";
  int port = 8001;
  bool reuse_port = false;
  int infer_threads = 0;  // io threads that take connections; 0: all
  std::string certificate_file, key_file, root_file;
  bool tls = false, mutual_tls = false;
  std::uint64_t buffered_bytes_max = 0;   // messages over the whole front end; 0: half of the memory
  std::string compression = "none";       // of infer answers: none, low, medium, high
  std::string header_forward_pattern;     // regular expression; matching metadata become request parameters
  std::vector<RestrictedApi> restricted;  // the metadata key is "triton-grpc-protocol-" + header
  int keepalive_time_ms = 7'200'000, keepalive_timeout_ms = 20'000;
  bool keepalive_without_calls = false;
  int pings_without_data_max = 2;
  int ping_interval_without_data_ms = 300'000;
  int ping_strikes_max = 2;
  int connection_age_ms = 0, connection_age_grace_ms = 0;  // 0: unlimited
};

struct MetricsConfig {
  bool enabled = true;
  std::string address;  // empty: http's
  int port = 8002;
  bool cpu = true;
  int interval_ms = 2000;
};

struct TlsConfig {
  std::string certificate_file, key_file;  // for the HTTP listener; empty: plain
};

struct AuthConfig {
  std::optional<V2Auth> v2;      // unset: see "Exposure" in ARCHITECTURE.md
  bool public_catalogue = true;  // GET /v1/models without a key
};

struct ServerConfig {
  std::string id = "triton";  // `name` of GET /v2
  HttpConfig http;
  GrpcConfig grpc;
  MetricsConfig metrics;
  TlsConfig tls;
  AuthConfig auth;
  std::vector<std::string> trusted_proxies;
  std::string state_folder;  // empty: $XDG_STATE_HOME/nereid
  int exit_timeout_s = 30;
  std::uint64_t inflight_bytes_max = 0;  // 0: a quarter of the memory
};

struct LogConfig {
  bool info = true, warning = true, error = true, iso8601 = false;
  int verbose = 0;
  std::string file;
};

struct ModelsConfig {
  std::vector<std::string> repositories;
  ControlMode control = ControlMode::kNone;
  std::vector<std::string> load;  // explicit mode; "*" alone: all
  int poll_s = 15;
  bool strict_readiness = true;
  bool exit_on_error = true;
  bool auto_complete = true;
  std::string config_name;  // --model-config-name
  int load_threads = 4;
  int load_retries = 0;
  std::uint64_t memory_limit_bytes = 0;
  std::map<std::string, std::map<std::string, std::string>> backends;  // --backend-config
};

struct PriceConfig {
  bool unpriced = true;
  NanoUsdPerMillion input = 0, output = 0;
  std::optional<NanoUsdPerMillion> cache_read, cache_write, reasoning;
};

struct ProviderConfig {
  std::string name;
  std::string dialect = "openai";
  std::string base_url;         // "https://api.example/v1"
  std::vector<SecretRef> keys;  // empty: no Authorization is sent
  int connect_timeout_ms = 10'000;
  int first_byte_timeout_ms = 180'000;
  int between_bytes_timeout_ms = 60'000;
  int stream_timeout_ms = 1'800'000;
  std::uint64_t response_bytes_max = 64 << 20;
  std::string ca_file;  // empty: the system's roots
};

struct TargetConfig {
  std::string provider;  // empty: a local model
  std::string model;
  PriceConfig cost;
  int weight = 0;
};

struct PublicModelConfig {
  std::string name;
  PriceConfig price;
  std::vector<TargetConfig> targets;  // in order
  std::vector<std::string> fallbacks;
  std::optional<std::int64_t> max_output_tokens, default_max_tokens;
  bool is_public = true;  // in the catalogue without a key
};

struct TasksConfig {
  std::map<std::string, std::string> rules;  // task -> public model
  std::string otherwise;                     // for a task without a rule; empty: 404
};

struct StoreConfig {
  std::string url;  // empty: sqlite in the state folder
  Durability durability = Durability::kRelaxed;
  std::uint64_t segment_bytes = 64 << 20;
};

struct Config {
  ServerConfig server;
  LogConfig log;
  ModelsConfig models;
  std::vector<ProviderConfig> providers;
  std::vector<PublicModelConfig> public_models;
  TasksConfig tasks;
  StoreConfig store;
  bool called_as_triton = false;  // not settable: argv[0]
};

// Where keys, the ledger and the admin key live: server.state_folder, else $XDG_STATE_HOME/nereid, else ~/.local/state/nereid.
std::string StateFolder(const ServerConfig& server);

// YAML text over `base`. Unknown keys, wrong types and bad values are errors with their path ("public_models.gpt-4.1.price.input").
Result<Config> ParseConfig(std::string_view yaml, Config base, std::string_view file_name);
// The whole configuration as YAML that ParseConfig reads back; secrets stay references.
std::string PrintConfig(const Config& config);
// What cannot be seen in one field: dangling names, ports in use twice, ...
Result<Nothing> CheckConfig(const Config& config);
// Paths that are set and that this version does not act upon; each is worth a warning.
std::vector<std::string> WithoutEffect(const Config& config);

}  // namespace nereid

// The field table: every key of the configuration file once. The YAML reader, the printer and the flags are visitors of it.
//
// A visitor has
//   Value(key, field, rule)         a scalar or a sequence of texts
//   Struct(key, sub)                a mapping with its own Fields
//   Priced(key, price)              the same, and only there when a price was given
//   Named(key, list)                NAME -> mapping, in order
//   List(key, list)                 a sequence of mappings
//   Secrets(key, list)              a sequence of {env: NAME} or {file: PATH}
//   Money(key, price, rule)         decimal text in USD per million tokens
//   NotYet(key, what)               a known key that is refused with a reason
#pragma once

#include "config/text.h"

namespace nereid::config {

template <class V>
void Fields(V& v, HttpConfig& c) {
  v.Value("enabled", c.enabled);
  v.Value("address", c.address);
  v.Value("port", c.port, Between(0, 65535));
  v.Value("reuse_port", c.reuse_port);
  v.Value("threads", c.threads, Between(0, 1024));
  v.Value("head_bytes_max", c.head_bytes_max, Between(1024, 16 << 20));
  v.Value("header_count_max", c.header_count_max, Between(1, 10'000));
  v.Value("json_body_bytes_max", c.json_body_bytes_max, AtLeast(1));
  v.Value("binary_body_bytes_max", c.binary_body_bytes_max, AtLeast(1));
  v.Value("buffered_bytes_max", c.buffered_bytes_max);
  v.Value("head_timeout_ms", c.head_timeout_ms, AtLeast(1));
  v.Value("body_timeout_ms", c.body_timeout_ms, AtLeast(1));
  v.Value("idle_timeout_ms", c.idle_timeout_ms, AtLeast(1));
  v.Value("write_timeout_ms", c.write_timeout_ms, AtLeast(1));
  v.Value("connections_max", c.connections_max, AtLeast(1));
  v.Value("header_forward_pattern", c.header_forward_pattern);
}

template <class V>
void Fields(V& v, GrpcConfig& c) {
  v.Value("enabled", c.enabled);
  v.Value("address", c.address);
  v.Value("port", c.port, Between(0, 65535));
  v.Value("reuse_port", c.reuse_port);
  v.Value("infer_threads", c.infer_threads, Between(0, 128));
  v.Value("buffered_bytes_max", c.buffered_bytes_max);
  v.Value("tls", c.tls);
  v.Value("mutual_tls", c.mutual_tls);
  v.Value("certificate_file", c.certificate_file);
  v.Value("key_file", c.key_file);
  v.Value("root_file", c.root_file);
  v.Value("compression", c.compression, OneOf({"none", "low", "medium", "high"}));
  v.Value("header_forward_pattern", c.header_forward_pattern);
  v.Value("keepalive_time_ms", c.keepalive_time_ms, AtLeast(1));
  v.Value("keepalive_timeout_ms", c.keepalive_timeout_ms, AtLeast(1));
  v.Value("keepalive_without_calls", c.keepalive_without_calls);
  v.Value("pings_without_data_max", c.pings_without_data_max, AtLeast(0));
  v.Value("ping_interval_without_data_ms", c.ping_interval_without_data_ms, AtLeast(0));
  v.Value("ping_strikes_max", c.ping_strikes_max, AtLeast(0));
  v.Value("connection_age_ms", c.connection_age_ms, AtLeast(0));
  v.Value("connection_age_grace_ms", c.connection_age_grace_ms, AtLeast(0));
}

template <class V>
void Fields(V& v, MetricsConfig& c) {
  v.Value("enabled", c.enabled);
  v.Value("address", c.address);
  v.Value("port", c.port, Between(0, 65535));
  v.Value("cpu", c.cpu);
  v.Value("interval_ms", c.interval_ms, AtLeast(1));
}

template <class V>
void Fields(V& v, TlsConfig& c) {
  v.Value("certificate_file", c.certificate_file);
  v.Value("key_file", c.key_file);
}

template <class V>
void Fields(V& v, AuthConfig& c) {
  v.Value("v2", c.v2);
  v.Value("public_catalogue", c.public_catalogue);
}

template <class V>
void Fields(V& v, ServerConfig& c) {
  v.Value("id", c.id);
  v.Struct("http", c.http);
  v.Struct("grpc", c.grpc);
  v.Struct("metrics", c.metrics);
  v.Struct("tls", c.tls);
  v.Struct("auth", c.auth);
  v.Value("trusted_proxies", c.trusted_proxies);
  v.Value("state_folder", c.state_folder);
  v.Value("exit_timeout_s", c.exit_timeout_s, AtLeast(0));
  v.Value("inflight_bytes_max", c.inflight_bytes_max);
}

template <class V>
void Fields(V& v, LogConfig& c) {
  v.Value("info", c.info);
  v.Value("warning", c.warning);
  v.Value("error", c.error);
  v.Value("iso8601", c.iso8601);
  v.Value("verbose", c.verbose, AtLeast(0));
  v.Value("file", c.file);
}

template <class V>
void Fields(V& v, ModelsConfig& c) {
  v.Value("repositories", c.repositories);
  v.Value("control", c.control);
  v.Value("load", c.load);
  v.Value("poll_s", c.poll_s, AtLeast(1));
  v.Value("strict_readiness", c.strict_readiness);
  v.Value("exit_on_error", c.exit_on_error);
  v.Value("auto_complete", c.auto_complete);
  v.Value("config_name", c.config_name);
  v.Value("load_threads", c.load_threads, AtLeast(1));
  v.Value("load_retries", c.load_retries, AtLeast(0));
  v.Value("memory_limit_bytes", c.memory_limit_bytes);
  v.Value("backends", c.backends);
}

template <class V>
void Fields(V& v, PriceConfig& c) {
  v.Money("input", c.input, {.required = true});
  v.Money("output", c.output, {.required = true});
  v.Money("cache_read", c.cache_read);
  v.Money("cache_write", c.cache_write);
  v.Money("reasoning", c.reasoning);
}

template <class V>
void Fields(V& v, ProviderConfig& c) {
  v.Value("dialect", c.dialect, OneOf({"openai"}));
  v.Value("base_url", c.base_url, {.required = true});
  v.Secrets("keys", c.keys);
  v.Value("connect_timeout_ms", c.connect_timeout_ms, AtLeast(1));
  v.Value("first_byte_timeout_ms", c.first_byte_timeout_ms, AtLeast(1));
  v.Value("between_bytes_timeout_ms", c.between_bytes_timeout_ms, AtLeast(1));
  v.Value("stream_timeout_ms", c.stream_timeout_ms, AtLeast(1));
  v.Value("response_bytes_max", c.response_bytes_max, AtLeast(1));
  v.Value("ca_file", c.ca_file);
}

template <class V>
void Fields(V& v, TargetConfig& c) {
  v.Value("provider", c.provider);
  v.Value("model", c.model, {.required = true});
  v.Priced("cost", c.cost);
  v.Value("weight", c.weight, AtLeast(0));
}

template <class V>
void Fields(V& v, PublicModelConfig& c) {
  v.Priced("price", c.price);
  v.List("targets", c.targets);
  v.Value("fallbacks", c.fallbacks);
  v.Value("max_output_tokens", c.max_output_tokens, AtLeast(1));
  v.Value("default_max_tokens", c.default_max_tokens, AtLeast(1));
  v.Value("public", c.is_public);
}

template <class V>
void Fields(V& v, TasksConfig& c) {
  v.Value("rules", c.rules);
  v.Value("otherwise", c.otherwise);
}

template <class V>
void Fields(V& v, StoreConfig& c) {
  v.Value("url", c.url);
  v.Value("durability", c.durability);
  v.Value("segment_bytes", c.segment_bytes, AtLeast(4096));
}

template <class V>
void Fields(V& v, Config& c) {
  v.Struct("server", c.server);
  v.Struct("log", c.log);
  v.Struct("models", c.models);
  v.Named("providers", c.providers);
  v.Named("public_models", c.public_models);
  v.Struct("tasks", c.tasks);
  v.Struct("store", c.store);
  v.NotYet("canaries", "canaries are not implemented in this version: take the section out");
  v.NotYet("shared_state", "shared state over Redis or Valkey is not implemented in this version: take the section out");
}

}  // namespace nereid::config

// What one field alone cannot show: names that point nowhere, settings that exclude each other.
#include <algorithm>
#include <set>

#include "config/config.h"

namespace nereid {
namespace {

std::unexpected<Status> Bad(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message), "bad_config");
}

struct Listener {
  std::string_view what, address;
  int port;
};

Result<Nothing> CheckPorts(const ServerConfig& server) {
  std::vector<Listener> listeners;
  if (server.http.enabled) listeners.push_back({"HTTP requests", server.http.address, server.http.port});
  if (server.grpc.enabled) listeners.push_back({"GRPC requests", server.grpc.address, server.grpc.port});
  if (server.metrics.enabled)
    listeners.push_back(
        {"metrics requests", server.metrics.address.empty() ? server.http.address : server.metrics.address, server.metrics.port});
  auto everywhere = [](std::string_view address) { return address == "0.0.0.0" || address == "::"; };
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    for (std::size_t j = i + 1; j < listeners.size(); ++j) {
      const Listener &a = listeners[i], &b = listeners[j];
      if (a.port == 0 || a.port != b.port || (a.address != b.address && !everywhere(a.address) && !everywhere(b.address))) continue;
      return Error(
          Code::kInvalidArgument,
          fmt::format("The server cannot listen to {} and {} at the same address and port {}:{}", a.what, b.what, a.address, a.port),
          "usage");
    }
  }
  return Nothing{};
}

Result<Nothing> CheckModels(const Config& config) {
  const ModelsConfig& models = config.models;
  if (config.called_as_triton && models.repositories.empty())
    return Bad("error: creating server: Invalid argument - --model-repository must be specified");
  if (std::ranges::find(models.load, "*") != models.load.end() && models.load.size() > 1)
    return Bad("error: creating server: Invalid argument - Wildcard model name '*' must be the ONLY startup model if specified at all.");
  return Nothing{};
}

Result<Nothing> CheckPublicModels(const Config& config) {
  std::set<std::string_view> providers, names;
  for (const ProviderConfig& provider : config.providers) {
    providers.insert(provider.name);
    if (!provider.base_url.starts_with("http://") && !provider.base_url.starts_with("https://"))
      return Bad(fmt::format("providers.{}.base_url: '{}' must begin with http:// or https://", provider.name, provider.base_url));
  }
  for (const PublicModelConfig& model : config.public_models) names.insert(model.name);
  for (const PublicModelConfig& model : config.public_models) {
    std::string path = "public_models." + model.name;
    if (model.name.empty()) return Bad("public_models: a public model needs a name");
    if (model.targets.empty()) return Bad(path + ".targets: a public model needs at least one target");
    for (std::size_t i = 0; i < model.targets.size(); ++i) {
      const std::string& provider = model.targets[i].provider;
      if (!provider.empty() && !providers.contains(provider))
        return Bad(fmt::format("{}.targets[{}].provider: '{}' is not among the providers", path, i, provider));
    }
    for (const std::string& fallback : model.fallbacks) {
      if (!names.contains(fallback)) return Bad(fmt::format("{}.fallbacks: '{}' is not among the public models", path, fallback));
      if (fallback == model.name) return Bad(path + ".fallbacks: a public model cannot fall back to itself");
    }
    if (model.max_output_tokens && model.default_max_tokens && *model.default_max_tokens > *model.max_output_tokens)
      return Bad(path + ".default_max_tokens: is above max_output_tokens");
  }
  return Nothing{};
}

Result<Nothing> CheckTls(const ServerConfig& server) {
  if (server.tls.certificate_file.empty() != server.tls.key_file.empty())
    return Bad("server.tls: certificate_file and key_file belong together");
  const GrpcConfig& grpc = server.grpc;
  if ((grpc.tls || grpc.mutual_tls) && (grpc.certificate_file.empty() || grpc.key_file.empty()))
    return Bad("server.grpc: TLS needs certificate_file and key_file");
  if (grpc.mutual_tls && grpc.root_file.empty()) return Bad("server.grpc: mutual TLS needs root_file");
  return Nothing{};
}

}  // namespace

Result<Nothing> CheckConfig(const Config& config) {
  TRY_DO(CheckPorts(config.server));
  TRY_DO(CheckTls(config.server));
  TRY_DO(CheckModels(config));
  TRY_DO(CheckPublicModels(config));
  return Nothing{};
}

std::vector<std::string> WithoutEffect(const Config& config) {
  const Config defaults;
  std::vector<std::string> paths;
  auto note = [&](bool is_set, std::string path) {
    if (is_set) paths.push_back(std::move(path));
  };
  note(!config.server.trusted_proxies.empty(), "server.trusted_proxies");
  note(config.server.metrics.interval_ms != defaults.server.metrics.interval_ms, "server.metrics.interval_ms");
  note(config.models.control == ControlMode::kPoll, "models.control: poll, which reads the repository once as none does,");
  note(config.models.poll_s != defaults.models.poll_s, "models.poll_s");
  note(config.models.memory_limit_bytes != 0, "models.memory_limit_bytes");
  for (const PublicModelConfig& model : config.public_models) {
    std::string path = "public_models." + model.name;
    note(!model.fallbacks.empty(), path + ".fallbacks");
    note(model.default_max_tokens.has_value(), path + ".default_max_tokens");
    bool remote = std::ranges::any_of(model.targets, [](const TargetConfig& target) { return !target.provider.empty(); });
    note(model.max_output_tokens && remote, path + ".max_output_tokens, at targets of providers,");
    note(std::ranges::any_of(model.targets, [](const TargetConfig& target) { return target.weight != 0; }), path + ".targets.weight");
  }
  return paths;
}

}  // namespace nereid

#include "http/v2/v2_api.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "api/request.h"
#include "base/glob.h"
#include "base/log.h"
#include "base/secret.h"
#include "protocol/errors.h"
#include "protocol/kserve/metadata.h"
#include "proto/model_config.pb.h"

namespace nereid::http {
namespace {

constexpr std::string_view kCategoryNames[] = {"health",           "metadata",   "inference", "shared-memory", "model-config",
                                               "model-repository", "statistics", "trace",     "logging"};

// Where Triton's HTTP layer itself answers, the type is text/plain.
bool PlainError(std::string_view path, const Status& status) {
  if (status.reason == "no_route" || status.reason == "restricted") return true;
  return status.reason == "wrong_method" && (path.ends_with("/infer") || path.starts_with("/v2/health") || path.ends_with("/ready"));
}

}  // namespace

Result<ModelRef> ModelOf(const Call& call) {
  ModelRef model{std::string(call.Param("model")), -1};
  std::string_view version = call.Param("version");
  if (version.empty()) return model;
  auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), model.version);
  if (error != std::errc())
    return Error(
        Code::kInvalidArgument,
        fmt::format(
            "failed to get model version from specified version string '{}' (details: stol), version should be an integral value > 0",
            version),
        "bad_version");
  return model;
}

net::Task<Nothing> RespondJson200(net::Exchange& exchange, std::string json) {
  co_return co_await exchange.Respond(net::ResponseHead{200, "application/json", {}}, json);
}

net::Task<Nothing> RespondKServeError(net::Exchange& exchange, const Status& status, std::string_view content_type) {
  net::ResponseHead head{protocol::WireErrorOf(status).kserve_http, std::string(content_type), {}};
  if (status.reason == "content_encoding") head.headers.Add("Accept-Encoding", "gzip, deflate");
  if (head.status == 401) head.headers.Add("WWW-Authenticate", "Bearer");
  co_return co_await exchange.Respond(std::move(head), protocol::KServeErrorBody(status.message));
}

V2Api::V2Api(ModelService& models, V2Options options)
    : models_(models), options_(std::move(options)), forward_(options_.header_forward_pattern), log_(options_.log) {}

void V2Api::Add(Routes& routes, net::Method method, std::string_view pattern, Category category, bool changes, Method handle) {
  routes.Add(method, pattern, [this, category, changes, handle](Call& call) { return Run(call, category, changes, handle); });
}

net::Task<Nothing> V2Api::Run(Call& call, Category category, bool changes, Method handle) {
  Result<Nothing> done = Admit(call, category, changes);
  if (done) done = co_await (this->*handle)(call);
  LOG_VERBOSE(1, "HTTP request: {} {} from {}: {} after {} us", call.exchange.method_text(), call.exchange.path(),
              call.exchange.peer_address(), done ? std::string_view("answered") : std::string_view(done.error().message),
              std::chrono::duration_cast<Micros>(SystemClock().Steady() - call.exchange.arrival()).count());
  co_return done;
}

void V2Api::Register(Routes& routes) {
  using net::Method::kGet;
  using net::Method::kPost;
  routes.RenderErrorsBelow("", [](net::Exchange& exchange, const Status& status) -> net::Task<Nothing> {
    return RespondKServeError(exchange, status, PlainError(exchange.path(), status) ? "text/plain" : "application/json");
  });
  Add(routes, kGet, "/v2/health/live", Category::kHealth, false, &V2Api::Live);
  Add(routes, kGet, "/v2/health/ready", Category::kHealth, false, &V2Api::Ready);
  Add(routes, kGet, "/v2", Category::kMetadata, false, &V2Api::Server);
  Add(routes, kGet, "/v2/models/stats", Category::kStatistics, false, &V2Api::Stats);
  Add(routes, kGet, "/v2/logging", Category::kLogging, false, &V2Api::Logging);
  Add(routes, kPost, "/v2/logging", Category::kLogging, true, &V2Api::Logging);
  for (std::string base : {"/v2/models/{model}", "/v2/models/{model}/versions/{version:digits}"}) {
    Add(routes, kPost, base + "/infer", Category::kInference, false, &V2Api::Infer);
    Add(routes, kPost, base + "/generate", Category::kInference, false, &V2Api::Generate);
    Add(routes, kPost, base + "/generate_stream", Category::kInference, false, &V2Api::GenerateStream);
    Add(routes, kGet, base + "/ready", Category::kHealth, false, &V2Api::ModelReady);
    Add(routes, kGet, base + "/config", Category::kModelConfig, false, &V2Api::Config);
    Add(routes, kGet, base + "/stats", Category::kStatistics, false, &V2Api::Stats);
    Add(routes, kGet, base, Category::kMetadata, false, &V2Api::Metadata);
  }
  for (std::string_view path : {"/v2/trace/setting", "/v2/models/{model}/trace/setting"}) {
    Add(routes, kGet, path, Category::kTrace, false, &V2Api::TraceSetting);
    Add(routes, kPost, path, Category::kTrace, true, &V2Api::TraceSetting);
  }
  Add(routes, kPost, "/v2/repository/index", Category::kModelRepository, false, &V2Api::Index);
  Add(routes, kPost, "/v2/repository/models/{model}/load", Category::kModelRepository, true, &V2Api::Load);
  Add(routes, kPost, "/v2/repository/models/{model}/unload", Category::kModelRepository, true, &V2Api::Unload);
  Add(routes, kPost, "/v2/repository/{repository}/index", Category::kModelRepository, false, &V2Api::Index);
  Add(routes, kPost, "/v2/repository/{repository}/models/{model}/load", Category::kModelRepository, true, &V2Api::NamedRepository);
  Add(routes, kPost, "/v2/repository/{repository}/models/{model}/unload", Category::kModelRepository, true, &V2Api::NamedRepository);
  for (auto [kind, list] : {std::pair{"system", &V2Api::SystemSharedMemory}, std::pair{"cuda", &V2Api::CudaSharedMemory}}) {
    std::string base = fmt::format("/v2/{}sharedmemory", kind);
    Add(routes, kGet, base + "/status", Category::kSharedMemory, false, list);
    Add(routes, kGet, base + "/region/{region}/status", Category::kSharedMemory, false, &V2Api::RegionStatus);
    Add(routes, kPost, base + "/region/{region}/register", Category::kSharedMemory, true, &V2Api::Register);
    Add(routes, kPost, base + "/region/{region}/unregister", Category::kSharedMemory, true, &V2Api::Unregister);
    Add(routes, kPost, base + "/unregister", Category::kSharedMemory, true, &V2Api::Unregister);
  }
}

Result<Nothing> V2Api::Admit(const Call& call, Category category, bool changes) const {
  for (const RestrictedApi& rule : options_.restricted) {
    for (const std::string& name : rule.categories) {
      if (name != kCategoryNames[static_cast<int>(category)]) continue;
      auto given = call.exchange.Header(rule.header);
      if (!given || !SecretEquals(*given, rule.value))
        return Error(Code::kPermissionDenied, fmt::format("This API is restricted, expecting header '{}'", rule.header), "restricted");
    }
  }
  if (options_.auth == V2Auth::kOpen || category == Category::kHealth) return Nothing{};
  if (options_.auth == V2Auth::kInfer && !changes) return Nothing{};
  TRY(Principal principal, options_.authenticate(call.exchange.Header("authorization")));
  Scope needed = changes ? Scope::kAdmin : Scope::kInfer;
  if (!principal.Has(needed))
    return Error(Code::kPermissionDenied, fmt::format("this call needs a key with the scope '{}'", changes ? "admin" : "infer"),
                 "insufficient_scope");
  std::string_view model = call.Param("model");
  bool named = model.empty() || principal.model_globs.empty() ||
               std::ranges::any_of(principal.model_globs, [&](const std::string& glob) { return GlobMatches(glob, model); });
  if (!named) return Error(Code::kPermissionDenied, fmt::format("this key may not use the model '{}'", model), "model_not_allowed");
  return Nothing{};
}

net::Task<Nothing> V2Api::Live(Call& call) {
  co_return co_await call.exchange.Respond(net::ResponseHead{models_.Live() ? 200 : 400, "text/plain", {}}, "");
}
net::Task<Nothing> V2Api::Ready(Call& call) {
  co_return co_await call.exchange.Respond(net::ResponseHead{models_.Ready() ? 200 : 400, "text/plain", {}}, "");
}

net::Task<Nothing> V2Api::Server(Call& call) {
  co_return co_await RespondJson200(call.exchange,
                                    kserve::RenderServerMetadata(options_.server_id, options_.version, kserve::Extensions()));
}

net::Task<Nothing> V2Api::ModelReady(Call& call) {
  CO_TRY(ModelRef model, ModelOf(call));
  if (models_.ModelReady(model)) co_return co_await call.exchange.Respond(net::ResponseHead{200, "text/plain", {}}, "");
  co_return co_await RespondKServeError(call.exchange, Status{Code::kInvalidArgument, "Model version not ready", "not_ready", ""},
                                        "text/plain");
}

net::Task<Nothing> V2Api::Metadata(Call& call) {
  CO_TRY(ModelRef model, ModelOf(call));
  CO_TRY(auto info, models_.Find(model));
  co_return co_await RespondJson200(call.exchange, kserve::RenderModelMetadata(*info, model.version >= 0));
}

net::Task<Nothing> V2Api::Config(Call& call) {
  CO_TRY(ModelRef model, ModelOf(call));
  CO_TRY(auto info, models_.Find(model));
  co_return co_await RespondJson200(call.exchange, kserve::RenderConfig(*info->config));
}

net::Task<Nothing> V2Api::Stats(Call& call) {
  CO_TRY(ModelRef model, ModelOf(call));
  CO_TRY(auto stats, models_.Statistics(model));
  co_return co_await RespondJson200(call.exchange, kserve::RenderStatistics(stats));
}

}  // namespace nereid::http

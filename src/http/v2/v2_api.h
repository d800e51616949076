// KServe v2 over HTTP, as Triton speaks it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/model_service.h"
#include "api/request.h"
#include "config/config.h"
#include "http/routes.h"
#include "http/v2/header_forward.h"
#include "http/v2/trace_settings.h"

namespace nereid::http {

// What a route belongs to: restricted APIs and v2-auth are set by category.
enum class Category : std::uint8_t {
  kHealth,
  kMetadata,
  kInference,
  kSharedMemory,
  kModelConfig,
  kModelRepository,
  kStatistics,
  kTrace,
  kLogging
};

struct V2Options {
  std::string server_id, version;
  V2Auth auth = V2Auth::kOpen;  // settled: what an unset server.auth.v2 means is the caller's to decide
  std::vector<RestrictedApi> restricted;
  std::string header_forward_pattern;
  std::uint64_t json_body_bytes_max = 64 << 20, binary_body_bytes_max = 1 << 30;
  LogConfig log;  // what the logging settings start with
  // Who asks, by the Authorization header; called on the io thread.
  std::function<Result<Principal>(std::optional<std::string_view>)> authenticate;
};

class V2Api {
 public:
  // `models` outlives the API.
  V2Api(ModelService& models, V2Options options);
  // Adds the routes below /v2 and the renderer of their errors; the routes live as long as the API.
  void Register(Routes& routes);

 private:
  using Method = net::Task<Nothing> (V2Api::*)(Call&);
  void Add(Routes& routes, net::Method method, std::string_view pattern, Category category, bool changes, Method handle);
  net::Task<Nothing> Run(Call& call, Category category, bool changes, Method handle);
  Result<Nothing> Admit(const Call& call, Category category, bool changes) const;

  net::Task<Nothing> Live(Call& call);
  net::Task<Nothing> Ready(Call& call);
  net::Task<Nothing> Server(Call& call);
  net::Task<Nothing> ModelReady(Call& call);
  net::Task<Nothing> Metadata(Call& call);
  net::Task<Nothing> Config(Call& call);
  net::Task<Nothing> Stats(Call& call);
  net::Task<Nothing> Infer(Call& call);
  net::Task<Nothing> Generate(Call& call);
  net::Task<Nothing> GenerateStream(Call& call);
  net::Task<Nothing> Index(Call& call);
  net::Task<Nothing> Load(Call& call);
  net::Task<Nothing> Unload(Call& call);
  net::Task<Nothing> NamedRepository(Call& call);
  net::Task<Nothing> SystemSharedMemory(Call& call);
  net::Task<Nothing> CudaSharedMemory(Call& call);
  net::Task<Nothing> RegionStatus(Call& call);
  net::Task<Nothing> Register(Call& call);
  net::Task<Nothing> Unregister(Call& call);
  net::Task<Nothing> TraceSetting(Call& call);
  net::Task<Nothing> Logging(Call& call);

  net::Task<Nothing> InferInto(Call& call);
  net::Task<InferRequest> ReadGenerate(Call& call);

  ModelService& models_;
  const V2Options options_;
  const HeaderForward forward_;
  TraceSettings trace_;
  std::mutex log_mutex_;
  LogConfig log_;  // guarded by log_mutex_
};

// The model and version of a path; a version too large to be one is Triton's error.
Result<ModelRef> ModelOf(const Call& call);
net::Task<Nothing> RespondJson200(net::Exchange& exchange, std::string json);
net::Task<Nothing> RespondKServeError(net::Exchange& exchange, const Status& status, std::string_view content_type = "application/json");

}  // namespace nereid::http

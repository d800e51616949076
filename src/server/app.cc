#include "server/app.h"

#include <malloc.h>

#include <cstdio>

#include <fmt/format.h>

#include "accounts/accounts_impl.h"
#include "base/log.h"
#include "base/machine.h"
#include "gateway/engine_impl.h"
#include "grpc/server.h"
#include "http/admin/admin_api.h"
#include "http/metrics_endpoint.h"
#include "http/v1/v1_api.h"
#include "http/v2/v2_api.h"
#include "metrics/custom_metrics.h"
#include "models/local_target.h"
#include "models/metrics.h"
#include "models/model_server.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/io_threads.h"
#include "protocol/kserve/metadata.h"
#include "providers/openai_target.h"
#include "server/backends.h"
#include "server/exit_limit.h"
#include "server/homes.h"
#include "server/signals.h"
#include "store/store.h"

namespace nereid::server {
namespace {

int IoThreadCount(const HttpConfig& http, int cores) {
  return http.threads > 0 ? http.threads : std::min(cores, 4);
}

// What an unset server.auth.v2 means: see "Exposure" in ARCHITECTURE.md.
V2Auth SettledV2Auth(const Config& config) {
  if (config.server.auth.v2) return *config.server.auth.v2;
  if (config.called_as_triton) return V2Auth::kOpen;
  for (const PublicModelConfig& model : config.public_models) {
    for (const TargetConfig& target : model.targets) {
      if (target.provider.empty() && !model.price.unpriced) return V2Auth::kRequired;
    }
  }
  return V2Auth::kInfer;
}

net::HttpServerOptions HttpOptions(const Config& config, std::uint64_t memory_bytes) {
  const HttpConfig& http = config.server.http;
  net::HttpServerOptions options;
  options.listen = {http.address, http.port, http.reuse_port, 0, http.connections_max};
  options.head = {static_cast<std::size_t>(http.head_bytes_max), static_cast<std::size_t>(http.header_count_max)};
  options.buffered_bytes_max = http.buffered_bytes_max > 0 ? http.buffered_bytes_max : memory_bytes / 4;
  options.head_timeout = Millis(http.head_timeout_ms);
  options.body_timeout = Millis(http.body_timeout_ms);
  options.idle_timeout = Millis(http.idle_timeout_ms);
  options.write_timeout = Millis(http.write_timeout_ms);
  options.certificate_file = config.server.tls.certificate_file;
  options.key_file = config.server.tls.key_file;
  return options;
}

bool Loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address == "localhost";
}

// Members stand in the order in which they are built; what comes later uses what came before.
class App {
 public:
  explicit App(const Config& config)
      : config_(config),
        machine_(ReadMachine()),
        arbiter_(machine_.cores),
        threads_(IoThreadCount(config.server.http, machine_.cores)),
        homes_(MakeHomes(threads_)),
        models_(config.models, Backends(World()), InflightBytes(), SystemClock(), HomePointers()),
        client_(threads_),
        metrics_(models_, custom_metrics_, config.server.metrics.cpu) {}

  // The error is the line to print.
  Result<Nothing> Start();
  void Stop();

 private:
  std::uint64_t InflightBytes() const {
    return config_.server.inflight_bytes_max > 0 ? config_.server.inflight_bytes_max : machine_.memory_bytes / 4;
  }
  BackendWorld World();
  std::vector<Home*> HomePointers() const;
  Result<std::shared_ptr<Target>> MakeTarget(const TargetConfig& target, const Price& cost);
  // Each returns where it listens.
  Result<std::string> StartHttp(V2Auth v2);
  Result<std::string> StartGrpc(V2Auth v2);
  Result<std::string> StartMetrics();

  const Config& config_;
  const Machine machine_;
  ComputeArbiter arbiter_;
  CustomMetrics custom_metrics_;
  net::IoThreads threads_;
  std::vector<std::unique_ptr<Home>> homes_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<accounts::AccountsImpl> accounts_;
  models::ModelServer models_;
  net::HttpClient client_;
  std::map<std::string, std::shared_ptr<const providers::Provider>> providers_;
  std::optional<gateway::Catalogue> catalogue_;
  std::unique_ptr<gateway::EngineImpl> engine_;
  models::ModelMetrics metrics_;
  std::unique_ptr<http::V2Api> v2_;
  std::unique_ptr<http::V1Api> v1_;
  std::unique_ptr<http::AdminApi> admin_;
  http::Routes routes_;
  std::unique_ptr<net::HttpServer> http_, metrics_http_;
  std::unique_ptr<GrpcServer> grpc_;
};

std::vector<Home*> App::HomePointers() const {
  std::vector<Home*> homes;
  for (const auto& home : homes_) homes.push_back(home.get());
  return homes;
}

BackendWorld App::World() {
  BackendWorld world{&arbiter_, machine_.cores, machine_.memory_bytes, {}, HomePointers(), &models_, &custom_metrics_, {}};
  for (const ProviderConfig& provider : config_.providers) {
    for (const SecretRef& key : provider.keys) {
      if (key.source.starts_with("env:")) world.secret_variables.push_back(key.source.substr(4));
    }
  }
  return world;
}

Result<std::shared_ptr<Target>> App::MakeTarget(const TargetConfig& target, const Price& cost) {
  if (target.provider.empty()) return std::make_shared<models::LocalTarget>(models_, ModelRef{target.model, -1}, cost);
  auto provider = providers_.find(target.provider);
  if (provider == providers_.end())
    return Error(Code::kInvalidArgument, fmt::format("no provider '{}' is declared", target.provider), "bad_config");
  return std::make_shared<providers::OpenAiTarget>(provider->second, target.model, cost, client_);
}

Result<Nothing> App::Start() {
  TRY(store_, store::Store::Open({StateFolder(config_.server), config_.store}));
  TRY(accounts_, accounts::AccountsImpl::Create(*store_, *store_, threads_, StateFolder(config_.server)));
  threads_.Start();
  if (auto loaded = models_.Start(); !loaded)
    return Error(loaded.error().code,
                 fmt::format("error: creating server: {} - {}", loaded.error().code == Code::kUnsupported ? "Unsupported" : "Internal",
                             loaded.error().message));
  for (const ProviderConfig& provider : config_.providers) {
    TRY(auto made, providers::MakeProvider(provider));
    providers_[provider.name] = std::move(made);
  }
  TRY(catalogue_, gateway::Catalogue::Make(config_, models_,
                                           [this](const TargetConfig& target, const Price& cost) { return MakeTarget(target, cost); }));
  engine_ = std::make_unique<gateway::EngineImpl>(config_.tasks, *catalogue_, *accounts_, SystemClock());
  V2Auth v2 = SettledV2Auth(config_);
  // The port that answers /v2/health/live opens last: who sees it live may use the others. The lines keep Triton's order.
  std::string grpc, http, metrics;
  if (config_.server.metrics.enabled) {
    TRY(metrics, StartMetrics());
  }
  if (config_.server.grpc.enabled) {
    TRY(grpc, StartGrpc(v2));
  }
  if (config_.server.http.enabled) {
    TRY(http, StartHttp(v2));
  }
  if (!grpc.empty()) LOG_INFO("Started GRPCInferenceService at {}", grpc);
  if (!http.empty()) LOG_INFO("Started HTTPService at {}", http);
  if (!metrics.empty()) LOG_INFO("Started Metrics Service at {}", metrics);
  if (v2 == V2Auth::kOpen && config_.server.http.enabled && !Loopback(config_.server.http.address))
    LOG_WARNING("anyone who reaches {} may load and unload models: --v2-auth=infer asks for a key", config_.server.http.address);
  ::malloc_trim(0);
  return Nothing{};
}

Result<std::string> App::StartHttp(V2Auth v2) {
  const HttpConfig& http = config_.server.http;
  http::V2Options options;
  options.server_id = config_.server.id;
  options.version = NEREID_VERSION;
  options.auth = v2;
  options.restricted = http.restricted;
  options.header_forward_pattern = http.header_forward_pattern;
  options.json_body_bytes_max = http.json_body_bytes_max;
  options.binary_body_bytes_max = http.binary_body_bytes_max;
  options.log = config_.log;
  options.authenticate = [this](std::optional<std::string_view> authorization) { return accounts_->Authenticate(authorization); };
  v2_ = std::make_unique<http::V2Api>(models_, std::move(options));
  v1_ =
      std::make_unique<http::V1Api>(*engine_, *accounts_, http::V1Options{http.json_body_bytes_max, config_.server.auth.public_catalogue});
  admin_ = std::make_unique<http::AdminApi>(
      *accounts_, *store_, [this](const net::Exchange& exchange) { return accounts_->Authenticate(exchange.Header("authorization")); });
  v2_->Register(routes_);
  v1_->Register(routes_);
  admin_->Register(routes_);
  http_ = std::make_unique<net::HttpServer>(threads_, HttpOptions(config_, machine_.memory_bytes),
                                            [this](net::Exchange& exchange) { return routes_.Serve(exchange); });
  TRY(int port, http_->Start());
  return fmt::format("{}:{}", http.address, port);
}

Result<std::string> App::StartGrpc(V2Auth v2) {
  grpc_front::ServerIdentity identity{config_.server.id, NEREID_VERSION, kserve::Extensions()};
  grpc_ = std::make_unique<GrpcServer>(
      threads_, config_.server.grpc, models_, std::move(identity), v2,
      [this](std::optional<std::string_view> authorization) { return accounts_->Authenticate(authorization); });
  TRY(int port, grpc_->Start());
  return fmt::format("{}:{}", config_.server.grpc.address, port);
}

Result<std::string> App::StartMetrics() {
  net::HttpServerOptions options;
  std::string address = config_.server.metrics.address.empty() ? config_.server.http.address : config_.server.metrics.address;
  options.listen = {address, config_.server.metrics.port, false, 1, 64};
  options.buffered_bytes_max = 1 << 20;
  metrics_http_ =
      std::make_unique<net::HttpServer>(threads_, std::move(options), http::MetricsHandler([this] { return metrics_.Render(); }));
  TRY(int port, metrics_http_->Start());
  return fmt::format("{}:{}", address, port);
}

void App::Stop() {
  SteadyTime deadline = std::chrono::steady_clock::now() + std::chrono::seconds(config_.server.exit_timeout_s);
  constexpr std::chrono::seconds kSettling(2);  // for the settlements of what was cut
  ExitLimit limit(deadline + 2 * kSettling);
  models_.BeginShutdown();         // readiness fails first, so that load balancers look elsewhere
  if (grpc_) grpc_->BeginDrain();  // its clients learn of it while HTTP's still have their time
  if (http_ && !http_->Drain(deadline)) LOG_ERROR("Exit timeout expired. Exiting immediately.");
  if (grpc_) grpc_->Drain(deadline);
  if (metrics_http_) metrics_http_->Drain(deadline);
  models_.Stop();
  client_.Stop();
  // Tasks that were cut still have their settlements to write.
  while (net::RunningTasks() > 0 && std::chrono::steady_clock::now() < deadline + kSettling) std::this_thread::yield();
  threads_.Stop();
  threads_.Join();
}

}  // namespace

int Serve(const Config& config) {
  // Two arenas: threads that allocate little each would else keep a heap of their own.
  ::mallopt(M_ARENA_MAX, 2);
  // Bodies of some megabytes come and go: their pages are not returned and faulted in again each time.
  constexpr int kBodies = 32 << 20;
  ::mallopt(M_TRIM_THRESHOLD, kBodies);
  ::mallopt(M_MMAP_THRESHOLD, kBodies / 4);
  Signals signals;
  log::Configure({config.log.info, config.log.warning, config.log.error, config.log.verbose, config.log.file, config.log.iso8601});
  int code = 0;
  {
    App app(config);
    if (auto started = app.Start(); !started) {
      app.Stop();
      log::Flush();
      std::string line = started.error().message;
      if (!started.error().detail.empty()) line += ": " + started.error().detail;
      if (!line.starts_with("error: ")) line = "error: " + line;
      fmt::print(stderr, "{}\n", line);
      code = 1;
    } else {
      signals.Wait();
      LOG_INFO("Waiting for in-flight requests to complete.");
      app.Stop();
    }
  }
  log::Flush();
  return code;
}

}  // namespace nereid::server

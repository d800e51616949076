#include "grpc/server.h"

#include <cstring>
#include <fstream>
#include <sstream>

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>

#include "base/log.h"
#include "base/machine.h"
#include "grpc/generic_call.h"
#include "grpc/infer_call.h"

namespace nereid {
namespace {

using namespace grpc_front;

// Calls that each queue has ready for gRPC to hand over, so that a burst does not wait for this thread between two of them.
constexpr int kInferCallsReady = 8;
constexpr int kGenericCallsReady = 2;
// On one connection; more wait in the client.
constexpr int kStreamsPerConnectionMax = 4096;

grpc_compression_level CompressionLevel(const std::string& name) {
  if (name == "low") return GRPC_COMPRESS_LEVEL_LOW;
  if (name == "medium") return GRPC_COMPRESS_LEVEL_MED;
  if (name == "high") return GRPC_COMPRESS_LEVEL_HIGH;
  return GRPC_COMPRESS_LEVEL_NONE;
}

std::string Address(const GrpcConfig& config) {
  bool v6 = config.address.find(':') != std::string::npos && !config.address.starts_with('[');
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", config.address, v6 ? "]" : "", config.port);
}

// gRPC says only that it could not bind. Binds once itself to learn why.
std::string WhyNot(const GrpcConfig& config) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  if (int error = getaddrinfo(config.address.c_str(), fmt::format("{}", config.port).c_str(), &hints, &found)) return gai_strerror(error);
  std::string why = "cannot bind";
  if (int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0); fd >= 0) {
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0) why = std::strerror(errno);
    close(fd);
  }
  freeaddrinfo(found);
  return why;
}

Result<std::string> ReadPem(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || text.str().empty()) return Error(Code::kNotFound, fmt::format("cannot read {} for gRPC's TLS", path), "bad_config");
  return text.str();
}

void SetArguments(grpc::ServerBuilder& builder, const GrpcConfig& config) {
  // A message that does not fit ends its stream with RESOURCE_EXHAUSTED; the others go on.
  std::uint64_t buffered = config.buffered_bytes_max > 0 ? config.buffered_bytes_max : ReadMachine().memory_bytes / 2;
  if (buffered > 0) builder.SetResourceQuota(grpc::ResourceQuota("nereid").Resize(buffered));
  builder.SetMaxReceiveMessageSize(std::numeric_limits<int>::max());
  builder.SetMaxSendMessageSize(std::numeric_limits<int>::max());
  // Off by default: two servers would share the port without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, config.reuse_port ? 1 : 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, config.keepalive_time_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, config.keepalive_timeout_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, config.keepalive_without_calls ? 1 : 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, config.pings_without_data_max);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, config.ping_interval_without_data_ms);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, config.ping_strikes_max);
  if (config.connection_age_ms > 0) builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, config.connection_age_ms);
  if (config.connection_age_grace_ms > 0) builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, config.connection_age_grace_ms);
}

// gRPC writes to stderr by itself; its lines belong in our log, and only when asked for.
void TakeLog() {
  gpr_set_log_function([](gpr_log_func_args* line) { LOG_VERBOSE(1, "grpc: {}", line->message); });
}

void Serve(grpc::ServerCompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) static_cast<Tag*>(tag)->Run(ok);
}

}  // namespace

// Members end in the opposite order: the threads' queues after the server.
struct GrpcServer::Parts {
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
  InferMethod infer;
  grpc::AsyncGenericService generic;
  std::unique_ptr<grpc::Server> server;
  std::vector<std::thread> threads;
};

GrpcServer::GrpcServer(const GrpcConfig& config, ModelService& models, ServerIdentity identity, V2Auth v2, Authenticate authenticate)
    : config_(config),
      identity_(std::move(identity)),
      access_(v2, std::move(authenticate), config.restricted),
      forward_(config.header_forward_pattern),
      shared_{models, identity_, access_, forward_, open_, CompressionLevel(config.compression)} {}

GrpcServer::~GrpcServer() {
  Stop();
}

Result<std::shared_ptr<grpc::ServerCredentials>> GrpcServer::Credentials() const {
  if (!config_.tls && !config_.mutual_tls) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(config_.mutual_tls ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                               : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  TRY(std::string key, ReadPem(config_.key_file));
  TRY(std::string certificate, ReadPem(config_.certificate_file));
  if (!config_.root_file.empty()) {
    TRY(options.pem_root_certs, ReadPem(config_.root_file));
  }
  options.pem_key_cert_pairs.push_back({std::move(key), std::move(certificate)});
  return grpc::SslServerCredentials(options);
}

Result<int> GrpcServer::Start() {
  TakeLog();
  TRY(auto credentials, Credentials());
  auto parts = std::make_unique<Parts>();
  int port = 0;
  grpc::ServerBuilder builder;
  SetArguments(builder, config_);
  builder.AddListeningPort(Address(config_), std::move(credentials), &port);
  builder.RegisterService(&parts->infer);
  builder.RegisterAsyncGenericService(&parts->generic);
  for (int i = 0; i < std::max(config_.infer_threads, 1); ++i) parts->queues.push_back(builder.AddCompletionQueue());
  parts->server = builder.BuildAndStart();
  if (!parts->server || port == 0) {
    parts->server.reset();
    for (auto& queue : parts->queues) {
      queue->Shutdown();
      Serve(*queue);
    }
    return Error(Code::kUnavailable, fmt::format("failed to start the gRPC service at {}: {}", Address(config_), WhyNot(config_)),
                 "cannot_listen");
  }
  for (auto& queue : parts->queues) {
    for (int i = 0; i < kInferCallsReady; ++i) InferCall::Await(parts->infer, shared_, *queue);
    for (int i = 0; i < kGenericCallsReady; ++i) GenericCall::Await(parts->generic, shared_, *queue);
    parts->threads.emplace_back([&queue] { Serve(*queue); });
  }
  parts_ = std::move(parts);
  return port;
}

void GrpcServer::Drain(Nanos wait) {
  if (!parts_) return;
  parts_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(wait));
  // A call may not start an operation on a queue that is shut down, and a cancelled one still has its answer to bring.
  open_.Close();
  for (auto& queue : parts_->queues) queue->Shutdown();
  for (auto& thread : parts_->threads) thread.join();
  parts_.reset();
}

}  // namespace nereid

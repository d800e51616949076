#include "grpc/server.h"

#include <fmt/format.h>

#include "base/machine.h"
#include "grpc/infer_call.h"
#include "grpc/stream_call.h"
#include "grpc/unary_call.h"

namespace nereid {
namespace {

using namespace grpc_front;

constexpr std::string_view kModelInfer = "/inference.GRPCInferenceService/ModelInfer";
constexpr std::string_view kModelStreamInfer = "/inference.GRPCInferenceService/ModelStreamInfer";

net::Http2Options Options(const GrpcConfig& config) {
  net::Http2Options options;
  options.listen.address = config.address;
  options.listen.port = config.port;
  options.listen.reuse_port = config.reuse_port;
  options.listen.threads_max = config.infer_threads;
  if (config.tls || config.mutual_tls) {
    options.certificate_file = config.certificate_file;
    options.key_file = config.key_file;
  }
  if (config.mutual_tls) options.client_roots_file = config.root_file;
  options.ping_after = Millis(config.keepalive_time_ms);
  options.ping_timeout = Millis(config.keepalive_timeout_ms);
  options.ping_without_streams = config.keepalive_without_calls;
  options.ping_interval_min = Millis(config.ping_interval_without_data_ms);
  options.ping_strikes_max = config.ping_strikes_max;
  options.age_max = Millis(config.connection_age_ms);
  options.age_grace = Millis(config.connection_age_grace_ms);
  return options;
}

// Without a call: an answer that is a head alone.
void Refuse(net::Http2Stream& stream, int grpc_code, const std::string& text) {
  std::string code = fmt::format("{}", grpc_code), message = PercentEncode(text);
  net::HeaderField fields[] = {{":status", "200"},
                               {"content-type", "application/grpc"},
                               {"grpc-accept-encoding", "identity,deflate,gzip"},
                               {"grpc-status", code},
                               {"grpc-message", message}};
  stream.Respond(fields, true);
}

void RefuseAsHttp(net::Http2Stream& stream, std::string_view status) {
  net::HeaderField fields[] = {{":status", status}};
  stream.Respond(fields, true);
}

std::shared_ptr<net::Http2Receiver> Accept(const std::shared_ptr<const CallContext>& shared, net::Http2Stream& stream, int thread,
                                           net::Executor executor) {
  constexpr int kUnimplemented = 12;
  if (stream.Header(":method") != "POST") return RefuseAsHttp(stream, "405"), nullptr;
  if (!stream.Header("content-type").value_or("").starts_with("application/grpc")) return RefuseAsHttp(stream, "415"), nullptr;
  std::string_view encoding_name = stream.Header("grpc-encoding").value_or("");
  auto encoding = ParseEncoding(encoding_name);
  if (!encoding)
    return Refuse(stream, kUnimplemented,
                  fmt::format("grpc-encoding '{}' is not supported; send identity, deflate or gzip", encoding_name)),
           nullptr;
  Incoming incoming{stream, thread, executor, *encoding};
  std::string_view path = stream.Header(":path").value_or("");
  if (path == kModelInfer) return std::make_shared<InferCall>(shared, incoming);
  if (path == kModelStreamInfer) return std::make_shared<StreamCall>(shared, incoming);
  if (const Method* method = FindMethod(path)) return std::make_shared<UnaryCall>(shared, incoming, *method);
  return Refuse(stream, kUnimplemented, fmt::format("unknown method {}", path)), nullptr;
}

net::Http2Handler Handler(std::shared_ptr<const CallContext> shared) {
  return [shared = std::move(shared)](net::Http2Stream& stream, int thread, net::Executor executor) {
    return Accept(shared, stream, thread, executor);
  };
}

std::shared_ptr<net::ByteBudget> Budget(const GrpcConfig& config) {
  return std::make_shared<net::ByteBudget>(config.buffered_bytes_max > 0 ? config.buffered_bytes_max : ReadMachine().memory_bytes / 2);
}

}  // namespace

GrpcServer::GrpcServer(net::IoThreads& threads, const GrpcConfig& config, ModelService& models, ServerIdentity identity, V2Auth v2,
                       Authenticate authenticate)
    : server_(threads, Options(config),
              Handler(std::make_shared<CallContext>(models, std::move(identity), Access(v2, std::move(authenticate), config.restricted),
                                                    HeaderForward(config.header_forward_pattern), config.compression, Budget(config)))) {}

GrpcServer::~GrpcServer() = default;

Result<int> GrpcServer::Start() {
  auto port = server_.Start();
  if (port) return port;
  Status error = std::move(port).error();
  error.message = fmt::format("failed to start the gRPC service: {}", error.message);
  return std::unexpected(std::move(error));
}

}  // namespace nereid

#include "grpc/methods.h"

#include "grpc/infer_request.h"
#include "grpc/statistics.h"
#include "proto/grpc_service.pb.h"
#include "proto/health.pb.h"
#include "proto/model_config.pb.h"

namespace nereid::grpc_front {
namespace {

using namespace inference;  // the messages of this service

Result<Nothing> Fill(const CallContext& shared, const ServerLiveRequest&, ServerLiveResponse& out) {
  out.set_live(shared.models.Live());
  return Nothing{};
}

Result<Nothing> Fill(const CallContext& shared, const ServerReadyRequest&, ServerReadyResponse& out) {
  out.set_ready(shared.models.Ready());
  return Nothing{};
}

Result<Nothing> Fill(const CallContext& shared, const grpc::health::v1::HealthCheckRequest&, grpc::health::v1::HealthCheckResponse& out) {
  out.set_status(shared.models.Ready() ? grpc::health::v1::HealthCheckResponse::SERVING
                                       : grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  return Nothing{};
}

Result<Nothing> Fill(const CallContext& shared, const ModelReadyRequest& in, ModelReadyResponse& out) {
  TRY(ModelRef model, ParseModelRef(in.name(), in.version()));
  out.set_ready(shared.models.ModelReady(model));
  return Nothing{};
}

Result<Nothing> Fill(const CallContext& shared, const ServerMetadataRequest&, ServerMetadataResponse& out) {
  out.set_name(shared.identity.id);
  out.set_version(shared.identity.version);
  for (const std::string& extension : shared.identity.extensions) out.add_extensions(extension);
  return Nothing{};
}

void FillTensor(const TensorMetadata& tensor, ModelMetadataResponse::TensorMetadata& out) {
  out.set_name(tensor.name);
  out.set_datatype(std::string(DatatypeName(tensor.datatype)));
  out.mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
}

Result<Nothing> Fill(const CallContext& shared, const ModelMetadataRequest& in, ModelMetadataResponse& out) {
  TRY(ModelRef ref, ParseModelRef(in.name(), in.version()));
  TRY(auto model, shared.models.Find(ref));
  out.set_name(model->name);
  // Asked for one version, Triton names that one only.
  if (ref.version >= 0) out.add_versions(fmt::format("{}", model->version));
  else
    for (std::int64_t version : model->versions) out.add_versions(fmt::format("{}", version));
  out.set_platform(model->platform);
  for (const nereid::TensorMetadata& tensor : model->inputs) FillTensor(tensor, *out.add_inputs());
  for (const nereid::TensorMetadata& tensor : model->outputs) FillTensor(tensor, *out.add_outputs());
  return Nothing{};
}

Result<Nothing> Fill(const CallContext& shared, const ModelConfigRequest& in, ModelConfigResponse& out) {
  TRY(ModelRef ref, ParseModelRef(in.name(), in.version()));
  TRY(auto model, shared.models.Find(ref));
  if (!model->config) return Error(Code::kInternal, fmt::format("model '{}' has no configuration", model->name));
  *out.mutable_config() = *model->config;
  return Nothing{};
}

Result<Nothing> Fill(const CallContext& shared, const ModelStatisticsRequest& in, ModelStatisticsResponse& out) {
  TRY(ModelRef ref, ParseModelRef(in.name(), in.version()));
  TRY(std::vector<ModelStats> all, shared.models.Statistics(ref));
  for (const ModelStats& stats : all) FillStatistics(stats, *out.add_model_stats());
  return Nothing{};
}

Result<Nothing> Fill(const CallContext& shared, const RepositoryIndexRequest& in, RepositoryIndexResponse& out) {
  if (!in.repository_name().empty()) return Error(Code::kUnsupported, "'repository_name' specification is not supported");
  for (const IndexEntry& entry : shared.models.Index(in.ready())) {
    auto& row = *out.add_models();
    row.set_name(entry.name);
    if (entry.version) row.set_version(fmt::format("{}", *entry.version));
    row.set_state(entry.state);
    row.set_reason(entry.reason);
  }
  return Nothing{};
}

template <class Request>
std::string_view ModelOf(const Request& request) {
  if constexpr (requires { request.model_name(); }) return request.model_name();
  else if constexpr (requires { request.name(); }) return request.name();
  else return {};
}

Message Whole(const google::protobuf::MessageLite& message) {
  std::string text(kPrefixBytes, '\0');
  message.AppendToString(&text);
  return WholeMessage(std::move(text));
}

template <class Request>
Result<Request> Read(const Method& self, const CallContext& shared, Metadata metadata, std::string_view bytes) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Error(Code::kInvalidArgument, "malformed message");
  if (!shared.access.Free(self.category, self.changes))
    TRY_DO(shared.access.Check(self.category, self.changes, ModelOf(request), metadata));
  return request;
}

template <class Request, class Response>
Result<Message> Answer(const Method& self, const CallContext& shared, Metadata metadata, std::string_view bytes) {
  TRY(Request request, Read<Request>(self, shared, metadata, bytes));
  Response response;
  TRY_DO(Fill(shared, request, response));
  return Whole(response);
}

template <class Request, class Response>
void Unary(const Method& self, const CallContext& shared, Metadata metadata, std::string_view bytes, Answering answer) {
  answer(Answer<Request, Response>(self, shared, metadata, bytes));
}

Result<LoadOptions> LoadOptionsOf(const RepositoryModelLoadRequest& request) {
  LoadOptions options;
  for (const auto& [key, value] : request.parameters()) {
    if (key == "config") {
      if (value.parameter_choice_case() != ModelRepositoryParameter::kStringParam)
        return Error(Code::kInvalidArgument, "invalid value type for 'config' parameter, expected string_param.");
      options.config_json = value.string_param();
    } else if (key.starts_with("file:")) {
      if (value.parameter_choice_case() != ModelRepositoryParameter::kBytesParam)
        return Error(Code::kInvalidArgument, fmt::format("invalid value type for '{}' parameter, expected bytes_param.", key));
      options.files.emplace_back(key.substr(5), value.bytes_param());
    } else {
      return Error(Code::kInvalidArgument, fmt::format("unrecognized load parameter '{}', expected 'config' or 'file:<path>'", key));
    }
  }
  return options;
}

template <class Response>
ModelService::Done Done(Answering answer) {
  return [answer = std::move(answer)](Result<Nothing> done) {
    if (!done) return answer(std::unexpected(std::move(done).error()));
    answer(Whole(Response()));
  };
}

void Load(const Method& self, const CallContext& shared, Metadata metadata, std::string_view bytes, Answering answer) {
  auto request = Read<RepositoryModelLoadRequest>(self, shared, metadata, bytes);
  if (!request) return answer(std::unexpected(std::move(request).error()));
  if (!request->repository_name().empty()) return answer(Error(Code::kUnsupported, "'repository_name' specification is not supported"));
  auto options = LoadOptionsOf(*request);
  if (!options) return answer(std::unexpected(std::move(options).error()));
  shared.models.Load(request->model_name(), *std::move(options), Done<RepositoryModelLoadResponse>(std::move(answer)));
}

void Unload(const Method& self, const CallContext& shared, Metadata metadata, std::string_view bytes, Answering answer) {
  auto request = Read<RepositoryModelUnloadRequest>(self, shared, metadata, bytes);
  if (!request) return answer(std::unexpected(std::move(request).error()));
  if (!request->repository_name().empty()) return answer(Error(Code::kUnsupported, "'repository_name' specification is not supported"));
  bool dependents = false;
  for (const auto& [key, value] : request->parameters()) {
    if (key != "unload_dependents") continue;
    if (value.parameter_choice_case() != ModelRepositoryParameter::kBoolParam)
      return answer(Error(Code::kInvalidArgument, "invalid value type for 'unload_dependents' parameter, expected bool_param."));
    dependents = value.bool_param();
  }
  shared.models.Unload(request->model_name(), dependents, Done<RepositoryModelUnloadResponse>(std::move(answer)));
}

void NotOffered(const Method& self, const CallContext& shared, Metadata metadata, std::string_view, Answering answer) {
  if (auto allowed = shared.access.Check(self.category, self.changes, {}, metadata); !allowed)
    return answer(std::unexpected(std::move(allowed).error()));
  std::string_view name = self.path.substr(self.path.rfind('/') + 1);
  if (self.category == Category::kSharedMemory)
    return answer(
        Error(Code::kUnsupported, "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."));
  answer(Error(Code::kUnsupported, fmt::format("{} is not offered by this server", name)));
}

#define NEREID_METHOD(name) "/inference.GRPCInferenceService/" name
constexpr Method kMethods[] = {
    {"/grpc.health.v1.Health/Check", Category::kHealth, false,
     Unary<grpc::health::v1::HealthCheckRequest, grpc::health::v1::HealthCheckResponse>},
    {NEREID_METHOD("ServerLive"), Category::kHealth, false, Unary<ServerLiveRequest, ServerLiveResponse>},
    {NEREID_METHOD("ServerReady"), Category::kHealth, false, Unary<ServerReadyRequest, ServerReadyResponse>},
    {NEREID_METHOD("ModelReady"), Category::kHealth, false, Unary<ModelReadyRequest, ModelReadyResponse>},
    {NEREID_METHOD("ServerMetadata"), Category::kMetadata, false, Unary<ServerMetadataRequest, ServerMetadataResponse>},
    {NEREID_METHOD("ModelMetadata"), Category::kMetadata, false, Unary<ModelMetadataRequest, ModelMetadataResponse>},
    {NEREID_METHOD("ModelConfig"), Category::kModelConfig, false, Unary<ModelConfigRequest, ModelConfigResponse>},
    {NEREID_METHOD("ModelStatistics"), Category::kStatistics, false, Unary<ModelStatisticsRequest, ModelStatisticsResponse>},
    {NEREID_METHOD("RepositoryIndex"), Category::kModelRepository, false, Unary<RepositoryIndexRequest, RepositoryIndexResponse>},
    {NEREID_METHOD("RepositoryModelLoad"), Category::kModelRepository, true, Load},
    {NEREID_METHOD("RepositoryModelUnload"), Category::kModelRepository, true, Unload},
    {NEREID_METHOD("SystemSharedMemoryStatus"), Category::kSharedMemory, true, NotOffered},
    {NEREID_METHOD("SystemSharedMemoryRegister"), Category::kSharedMemory, true, NotOffered},
    {NEREID_METHOD("SystemSharedMemoryUnregister"), Category::kSharedMemory, true, NotOffered},
    {NEREID_METHOD("CudaSharedMemoryStatus"), Category::kSharedMemory, true, NotOffered},
    {NEREID_METHOD("CudaSharedMemoryRegister"), Category::kSharedMemory, true, NotOffered},
    {NEREID_METHOD("CudaSharedMemoryUnregister"), Category::kSharedMemory, true, NotOffered},
    {NEREID_METHOD("TraceSetting"), Category::kTrace, true, NotOffered},
    {NEREID_METHOD("LogSettings"), Category::kLogging, true, NotOffered},
};
#undef NEREID_METHOD

}  // namespace

const Method* FindMethod(std::string_view path) {
  for (const Method& method : kMethods) {
    if (method.path == path) return &method;
  }
  return nullptr;
}

}  // namespace nereid::grpc_front

// The whole front end over a loopback port and fake models, asked through the generated client.
#include "grpc/server.h"

#include <future>
#include <thread>

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "grpc/fake_models_for_test.h"
#include "net/spawn.h"
#include "proto/grpc_service.grpc.pb.h"
#include "proto/health.grpc.pb.h"

namespace nereid {
namespace {

using grpc_front::FakeModels;
using inference::GRPCInferenceService;
using inference::ModelInferRequest;
using inference::ModelInferResponse;
using inference::ModelStreamInferResponse;

GrpcConfig Loopback() {
  GrpcConfig config;
  config.port = 0;
  return config;
}

std::string Ints(std::vector<std::int32_t> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * 4};
}

ModelInferRequest RequestOf(const std::string& model, std::vector<std::int32_t> values, const std::string& id = "") {
  ModelInferRequest request;
  request.set_model_name(model);
  request.set_id(id);
  auto* input = request.add_inputs();
  input->set_name("IN");
  input->set_datatype("INT32");
  input->add_shape(1);
  input->add_shape(static_cast<std::int64_t>(values.size()));
  request.add_raw_input_contents(Ints(std::move(values)));
  return request;
}

// A key "admin" that may do everything and a key "user" that may infer with models m*.
Result<Principal> Keys(std::optional<std::string_view> authorization) {
  Principal principal;
  if (authorization == "Bearer admin") principal.scopes = static_cast<std::uint32_t>(Scope::kAdmin);
  else if (authorization == "Bearer user") principal.scopes = static_cast<std::uint32_t>(Scope::kInfer), principal.model_globs = {"m*"};
  else return Error(Code::kUnauthenticated, "send a key");
  return principal;
}

class GrpcServerTest : public testing::Test {
 protected:
#if __has_feature(thread_sanitizer)
  // Client and server meet in a socket and in gRPC's own locks, of which the sanitizer sees neither: all order between them is lost.
  void SetUp() override { GTEST_SKIP() << "gRPC's libraries are not built with ThreadSanitizer"; }
#endif
  void Begin(V2Auth v2 = V2Auth::kOpen, GrpcConfig config = Loopback()) {
    models.AddModel("m");
    models.AddModel("other");
    models.AddModel("tokens", true);
    server = std::make_unique<GrpcServer>(threads, config, models, grpc_front::ServerIdentity{"triton", "1.2.3", {"sequence"}}, v2, Keys);
    threads.Start();
    auto port = server->Start();
    ASSERT_TRUE(port) << port.error().message;
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    channel = grpc::CreateCustomChannel(fmt::format("127.0.0.1:{}", *port), grpc::InsecureChannelCredentials(), arguments);
    stub = GRPCInferenceService::NewStub(channel);
    bound = *port;
  }

  grpc::Status Infer(const ModelInferRequest& request, ModelInferResponse* response = nullptr, const std::string& key = "") {
    grpc::ClientContext context;
    if (!key.empty()) context.AddMetadata("authorization", "Bearer " + key);
    ModelInferResponse unused;
    return stub->ModelInfer(&context, request, response ? response : &unused);
  }

  // What is under way goes on until the threads have ended.
  ~GrpcServerTest() override {
    stub.reset();
    channel.reset();
    if (server) server->Drain(SteadyTime{});
    while (net::RunningTasks() != 0) std::this_thread::yield();
    threads.Stop();
    threads.Join();
  }

  FakeModels models;
  net::IoThreads threads{2};
  std::unique_ptr<GrpcServer> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<GRPCInferenceService::Stub> stub;
  int bound = 0;
};

TEST_F(GrpcServerTest, HealthFollowsServerReadiness) {
  Begin();
  auto health = grpc::health::v1::Health::NewStub(channel);
  for (bool ready : {true, false}) {
    models.ready = ready;
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckResponse response;
    ASSERT_TRUE(health->Check(&context, {}, &response).ok());
    EXPECT_EQ(response.status() == grpc::health::v1::HealthCheckResponse::SERVING, ready);
  }
}

TEST_F(GrpcServerTest, MetadataComesFromTheModel) {
  Begin();
  grpc::ClientContext context;
  inference::ModelMetadataRequest request;
  request.set_name("m");
  inference::ModelMetadataResponse response;
  ASSERT_TRUE(stub->ModelMetadata(&context, request, &response).ok());
  EXPECT_EQ(response.ShortDebugString(),
            "name: \"m\" versions: \"1\" platform: \"identity\" inputs { name: \"IN\" datatype: \"INT32\" shape: -1 shape: 2 } "
            "outputs { name: \"OUT\" datatype: \"INT32\" shape: -1 shape: 2 }");
}

TEST_F(GrpcServerTest, UnknownModelReadyIsFalseAndItsMetadataAnError) {
  Begin();
  grpc::ClientContext ready_context, metadata_context;
  inference::ModelReadyRequest ready_request;
  ready_request.set_name("nope");
  inference::ModelReadyResponse ready;
  EXPECT_TRUE(stub->ModelReady(&ready_context, ready_request, &ready).ok());
  EXPECT_FALSE(ready.ready());
  inference::ModelMetadataRequest request;
  request.set_name("nope");
  inference::ModelMetadataResponse response;
  grpc::Status status = stub->ModelMetadata(&metadata_context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "Request for unknown model: 'nope' is not found");
}

TEST_F(GrpcServerTest, InferEchoesTheTensor) {
  Begin();
  ModelInferResponse response;
  ASSERT_TRUE(Infer(RequestOf("m", {4, 5}, "r7"), &response).ok());
  EXPECT_EQ(response.id(), "r7");
  EXPECT_EQ(response.model_version(), "1");
  ASSERT_EQ(response.raw_output_contents_size(), 1);
  EXPECT_EQ(response.raw_output_contents(0), Ints({4, 5}));
}

TEST_F(GrpcServerTest, LargeTensorsArriveWhole) {
  Begin();
  std::vector<std::int32_t> values(3'000'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int32_t>(i * 7919);
  ModelInferResponse response;
  ASSERT_TRUE(Infer(RequestOf("m", values), &response).ok());
  EXPECT_TRUE(response.raw_output_contents(0) == Ints(values));
}

TEST_F(GrpcServerTest, MessageBeyondTheBufferBoundIsRefusedAndTheServerLives) {
  GrpcConfig config = Loopback();
  config.buffered_bytes_max = 8 << 20;
  Begin(V2Auth::kOpen, config);
  EXPECT_EQ(Infer(RequestOf("m", std::vector<std::int32_t>(8 << 20))).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Infer(RequestOf("m", {1})).ok());
}

TEST_F(GrpcServerTest, DecoupledModelIsRefusedOutsideAStream) {
  Begin();
  grpc::Status status = Infer(RequestOf("tokens", {1}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(), "ModelInfer RPC doesn't support models with decoupled transaction policy");
}

TEST_F(GrpcServerTest, ModelErrorBecomesTheCallsStatus) {
  Begin();
  models.on_submit = [](FakeModels::Submitted submitted) {
    InferResponse response;
    response.error = Status{Code::kUnavailable, "Exceeds maximum queue size", {}, {}};
    submitted.receiver->Push(std::move(response));
  };
  grpc::Status status = Infer(RequestOf("m", {1}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "Exceeds maximum queue size");
}

TEST_F(GrpcServerTest, ErrorThatIsLongerThanClientsTakeIsCut) {
  Begin();
  std::string name(100'000, 'x');
  grpc::Status status = Infer(RequestOf(name, {1}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(status.error_message().ends_with("xxx ... (cut)"));
}

TEST_F(GrpcServerTest, CancelledCallCancelsItsRequest) {
  Begin();
  std::promise<FakeModels::Submitted> submitted;
  models.on_submit = [&](FakeModels::Submitted one) { submitted.set_value(std::move(one)); };
  grpc::ClientContext context;
  std::thread client([&] {
    ModelInferResponse response;
    EXPECT_EQ(stub->ModelInfer(&context, RequestOf("m", {1}), &response).error_code(), grpc::StatusCode::CANCELLED);
  });
  FakeModels::Submitted one = submitted.get_future().get();
  std::promise<void> cancelled;
  one.request.cancellation.OnCancel([&] { cancelled.set_value(); });
  context.TryCancel();
  cancelled.get_future().wait();
  client.join();
  one.receiver->Push(FakeModels::Echo(one.request));
}

TEST_F(GrpcServerTest, DeadlineTravelsInTheRequest) {
  Begin();
  Deadline with, without;
  models.on_submit = [&](FakeModels::Submitted one) {
    (one.request.client_id == "with" ? with : without) = one.request.deadline;
    one.receiver->Push(FakeModels::Echo(one.request));
  };
  ASSERT_TRUE(Infer(RequestOf("m", {1}, "without")).ok());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(5));
  ModelInferResponse response;
  ASSERT_TRUE(stub->ModelInfer(&context, RequestOf("m", {1}, "with"), &response).ok());
  EXPECT_FALSE(without.set());
  auto left = with.at() - SystemClock().Steady();
  EXPECT_GT(left, std::chrono::minutes(4));
  EXPECT_LE(left, std::chrono::minutes(5) + std::chrono::seconds(5));  // the wire rounds up
}

TEST_F(GrpcServerTest, MalformedMessageIsAnErrorAndTheServerLives) {
  Begin();
  grpc::GenericStub generic(channel);
  for (const char* method : {"/inference.GRPCInferenceService/ModelInfer", "/inference.GRPCInferenceService/ModelMetadata"}) {
    grpc::Slice slice("\x3a\xff\xff\xff\x7f garbage");
    grpc::ByteBuffer bytes(&slice, 1), answer;
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    auto call = generic.PrepareUnaryCall(&context, method, bytes, &queue);
    call->StartCall();
    grpc::Status status;
    call->Finish(&answer, &status, nullptr);
    void* tag;
    bool ok;
    queue.Next(&tag, &ok);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
  }
  EXPECT_TRUE(Infer(RequestOf("m", {1})).ok());
}

TEST_F(GrpcServerTest, PortInUseIsNamed) {
  Begin();
  GrpcConfig config = Loopback();
  config.port = bound;
  GrpcServer second(threads, config, models, {}, V2Auth::kOpen, Keys);
  auto port = second.Start();
  ASSERT_FALSE(port);
  EXPECT_EQ(
      port.error().message,
      fmt::format("failed to start the gRPC service: 127.0.0.1:{} is in use by another process; stop it or choose another port", bound));
}

TEST_F(GrpcServerTest, InferModeLetsAnonymousInferAndKeepsLoadForAdmins) {
  Begin(V2Auth::kInfer);
  EXPECT_TRUE(Infer(RequestOf("m", {1})).ok());
  inference::RepositoryModelLoadRequest request;
  request.set_model_name("m");
  (*request.mutable_parameters())["config"].set_string_param("{}");
  (*request.mutable_parameters())["file:1/model.onnx"].set_bytes_param(std::string("\0x", 2));
  auto load = [&](const std::string& key) {
    grpc::ClientContext context;
    if (!key.empty()) context.AddMetadata("authorization", "Bearer " + key);
    inference::RepositoryModelLoadResponse response;
    return stub->RepositoryModelLoad(&context, request, &response).error_code();
  };
  EXPECT_EQ(load(""), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(load("user"), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(models.loaded.empty());
  EXPECT_EQ(load("admin"), grpc::StatusCode::OK);
  EXPECT_EQ(models.loaded, std::vector<std::string>{"m"});
  EXPECT_EQ(models.load_options.config_json, "{}");
  EXPECT_EQ(models.load_options.files.at(0), (std::pair<std::string, std::string>{"1/model.onnx", std::string("\0x", 2)}));
}

TEST_F(GrpcServerTest, RequiredModeNeedsAKeyThatMayUseTheModel) {
  Begin(V2Auth::kRequired);
  EXPECT_EQ(Infer(RequestOf("m", {1})).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(Infer(RequestOf("m", {1}), nullptr, "user").ok());
  EXPECT_EQ(Infer(RequestOf("other", {1}), nullptr, "user").error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(Infer(RequestOf("other", {1}), nullptr, "admin").ok());
  grpc::ClientContext context;
  inference::ServerLiveResponse live;
  EXPECT_TRUE(stub->ServerLive(&context, {}, &live).ok());
}

TEST_F(GrpcServerTest, RestrictedProtocolNeedsItsHeader) {
  GrpcConfig config = Loopback();
  config.restricted = {{{"model-repository"}, "admin-key", "secret"}};
  Begin(V2Auth::kOpen, config);
  auto index = [&](const std::string& value) {
    grpc::ClientContext context;
    if (!value.empty()) context.AddMetadata("triton-grpc-protocol-admin-key", value);
    inference::RepositoryIndexResponse response;
    return stub->RepositoryIndex(&context, {}, &response);
  };
  EXPECT_EQ(index("").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(index("").error_message(), "This protocol is restricted, expecting header 'triton-grpc-protocol-admin-key'");
  EXPECT_FALSE(index("wrong").ok());
  EXPECT_TRUE(index("secret").ok());
  EXPECT_TRUE(Infer(RequestOf("m", {1})).ok());
}

// All messages of a stream to which `requests` were written.
struct StreamResult {
  std::vector<ModelStreamInferResponse> messages;
  grpc::Status status;
};
StreamResult RunStream(GRPCInferenceService::Stub& stub, const std::vector<ModelInferRequest>& requests, bool real_errors = false) {
  grpc::ClientContext context;
  if (real_errors) context.AddMetadata("triton_grpc_error", "true");
  auto stream = stub.ModelStreamInfer(&context);
  for (const ModelInferRequest& request : requests) stream->Write(request);
  stream->WritesDone();
  StreamResult result;
  for (ModelStreamInferResponse message; stream->Read(&message);) result.messages.push_back(message);
  result.status = stream->Finish();
  return result;
}

void PushTokens(const FakeModels::Submitted& submitted, int count) {
  for (int i = 0; i < count; ++i) {
    InferResponse response = FakeModels::Echo(submitted.request);
    response.final = false;
    submitted.receiver->Push(std::move(response));
  }
  InferResponse end;
  end.empty = true;
  submitted.receiver->Push(std::move(end));
}

TEST_F(GrpcServerTest, StreamCarriesManyResponsesOfADecoupledModel) {
  Begin();
  models.on_submit = [](FakeModels::Submitted submitted) { PushTokens(submitted, 3); };
  StreamResult result = RunStream(*stub, {RequestOf("tokens", {1}, "a")});
  EXPECT_TRUE(result.status.ok());
  ASSERT_EQ(result.messages.size(), 3u);
  for (const auto& message : result.messages) EXPECT_FALSE(message.infer_response().parameters().at("triton_final_response").bool_param());
  EXPECT_EQ(result.messages[0].infer_response().raw_output_contents(0), Ints({1}));
}

TEST_F(GrpcServerTest, EmptyFinalResponseIsSentOnlyWhenAskedFor) {
  Begin();
  models.on_submit = [](FakeModels::Submitted submitted) { PushTokens(submitted, 0); };
  EXPECT_TRUE(RunStream(*stub, {RequestOf("tokens", {1}, "a")}).messages.empty());
  ModelInferRequest request = RequestOf("tokens", {1}, "a");
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  StreamResult result = RunStream(*stub, {request});
  ASSERT_EQ(result.messages.size(), 1u);
  EXPECT_EQ(result.messages[0].ShortDebugString(),
            "infer_response { model_name: \"tokens\" id: \"a\" parameters { key: \"triton_final_response\" value { bool_param: true } } }");
}

TEST_F(GrpcServerTest, StreamKeepsTheOrderOfModelsThatAreNotDecoupled) {
  Begin();
  std::mutex mutex;
  std::optional<FakeModels::Submitted> first;
  models.on_submit = [&](FakeModels::Submitted submitted) {
    std::lock_guard lock(mutex);
    if (!first) {
      first = std::move(submitted);
      return;
    }
    submitted.receiver->Push(FakeModels::Echo(submitted.request));
    first->receiver->Push(FakeModels::Echo(first->request));
  };
  StreamResult result = RunStream(*stub, {RequestOf("m", {1}, "a"), RequestOf("m", {2}, "b")});
  ASSERT_EQ(result.messages.size(), 2u);
  EXPECT_EQ(result.messages[0].infer_response().id(), "a");
  EXPECT_EQ(result.messages[1].infer_response().id(), "b");
  EXPECT_TRUE(result.messages[0].infer_response().parameters().at("triton_final_response").bool_param());
}

TEST_F(GrpcServerTest, StreamGoesOnAfterAnError) {
  Begin();
  StreamResult result = RunStream(*stub, {RequestOf("nope", {1}, "u"), RequestOf("m", {1}, "ok")});
  EXPECT_TRUE(result.status.ok());
  ASSERT_EQ(result.messages.size(), 2u);
  EXPECT_EQ(result.messages[0].ShortDebugString(),
            "error_message: \"Request for unknown model: \\'nope\\' is not found\" infer_response { id: \"u\" }");
  EXPECT_EQ(result.messages[1].infer_response().id(), "ok");
}

TEST_F(GrpcServerTest, StreamErrorWaitsForTheRequestsBeforeIt) {
  Begin();
  std::promise<FakeModels::Submitted> submitted;
  models.on_submit = [&](FakeModels::Submitted one) { submitted.set_value(std::move(one)); };
  grpc::ClientContext context;
  auto stream = stub->ModelStreamInfer(&context);
  stream->Write(RequestOf("m", {1}, "first"));
  stream->Write(RequestOf("nope", {1}, "second"));
  stream->WritesDone();
  FakeModels::Submitted one = submitted.get_future().get();
  one.receiver->Push(FakeModels::Echo(one.request));
  std::vector<std::string> ids;
  for (ModelStreamInferResponse message; stream->Read(&message);) ids.push_back(message.infer_response().id());
  EXPECT_EQ(ids, (std::vector<std::string>{"first", "second"}));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcServerTest, StreamEndsAtTheFirstErrorWhenAskedTo) {
  Begin();
  StreamResult result = RunStream(*stub, {RequestOf("nope", {1}, "u")}, true);
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(result.messages.empty());
}

TEST_F(GrpcServerTest, SlowStreamReaderMakesTheModelWait) {
  Begin();
  std::promise<FakeModels::Submitted> submitted;
  models.on_submit = [&](FakeModels::Submitted one) { submitted.set_value(std::move(one)); };
  grpc::ClientContext context;
  auto stream = stub->ModelStreamInfer(&context);
  stream->Write(RequestOf("tokens", std::vector<std::int32_t>(100'000), "a"));
  FakeModels::Submitted one = submitted.get_future().get();
  // Nobody reads: the transport's windows fill, then the queue, and the model is told.
  int taken = 0;
  InferResponse response;
  do {
    response = FakeModels::Echo(one.request);
    response.final = false;
  } while (taken < 10'000 && one.receiver->Push(std::move(response)) == Pushed::kTaken && ++taken);
  EXPECT_LT(taken, 10'000);
  std::promise<void> room;
  one.receiver->OnRoom([&] { room.set_value(); });
  ModelStreamInferResponse message;
  std::thread reader([&] {
    while (stream->Read(&message)) {
    }
  });
  room.get_future().wait();
  InferResponse end;
  end.empty = true;
  EXPECT_EQ(one.receiver->Push(std::move(end)), Pushed::kTaken);
  stream->WritesDone();
  reader.join();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcServerTest, CancelledStreamCancelsItsRequests) {
  Begin();
  std::promise<FakeModels::Submitted> submitted;
  models.on_submit = [&](FakeModels::Submitted one) { submitted.set_value(std::move(one)); };
  grpc::ClientContext context;
  auto stream = stub->ModelStreamInfer(&context);
  stream->Write(RequestOf("tokens", {1}, "a"));
  FakeModels::Submitted one = submitted.get_future().get();
  std::promise<void> cancelled;
  one.request.cancellation.OnCancel([&] { cancelled.set_value(); });
  context.TryCancel();
  cancelled.get_future().wait();
  InferResponse more = FakeModels::Echo(one.request);
  more.final = false;
  EXPECT_EQ(one.receiver->Push(std::move(more)), Pushed::kGone);
  InferResponse end;
  end.empty = true;
  one.receiver->Push(std::move(end));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(GrpcServerTest, DrainWaitsForTheCallUnderWay) {
  Begin();
  std::promise<FakeModels::Submitted> submitted;
  models.on_submit = [&](FakeModels::Submitted one) { submitted.set_value(std::move(one)); };
  grpc::Status status;
  std::thread client([&] { status = Infer(RequestOf("m", {1})); });
  FakeModels::Submitted one = submitted.get_future().get();
  std::thread drain([&] { server->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(30)); });
  one.receiver->Push(FakeModels::Echo(one.request));
  drain.join();
  client.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(GrpcServerTest, StopCancelsWhatIsUnderWay) {
  Begin();
  models.on_submit = [](FakeModels::Submitted one) {
    one.request.cancellation.OnCancel([one]() mutable {
      InferResponse response;
      response.error = Status{Code::kCancelled, "cancelled", {}, {}};
      one.receiver->Push(std::move(response));
    });
  };
  std::thread client([&] { EXPECT_FALSE(Infer(RequestOf("m", {1})).ok()); });
  grpc::ClientContext context;
  inference::ServerLiveResponse live;
  EXPECT_TRUE(stub->ServerLive(&context, {}, &live).ok());
  server->Drain(SteadyTime{});
  client.join();
}

}  // namespace
}  // namespace nereid

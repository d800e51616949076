#include "http/v2/v2_api.h"

#include <gtest/gtest.h>

#include "http/v2/fake_exchange_for_test.h"
#include "net/spawn.h"
#include "proto/model_config.pb.h"

namespace nereid::http {
namespace {

using net::Method;

// Two models: "echo" gives its inputs back, "talk" is decoupled and says what `script` holds.
class Models final : public ModelService {
 public:
  Models() {
    Add("echo", false, {{"I", Datatype::kInt32, {-1}}}, {{"O", Datatype::kInt32, {-1}}});
    Add("talk", true, {{"text_input", Datatype::kBytes, {1}}}, {{"text_output", Datatype::kBytes, {1}}});
  }

  std::vector<InferResponse> script;
  Parameters parameters;  // of the last request
  std::vector<std::string> calls;
  LoadOptions load_options;

  void Submit(InferRequest request, std::shared_ptr<InferReceiver> receiver) override {
    parameters = request.parameters;
    if (request.model.name == "echo") {
      InferResponse response;
      response.model_name = "echo";
      response.model_version = 1;
      response.client_id = request.client_id;
      response.outputs = request.inputs;
      for (Tensor& tensor : response.outputs) tensor.name = "O";
      receiver->Push(std::move(response));
      return;
    }
    for (InferResponse& response : script) {
      response.model_name = "talk";
      response.model_version = 1;
      receiver->Push(std::move(response));
    }
  }
  Result<std::shared_ptr<const ModelInfo>> Find(const ModelRef& model) const override {
    auto found = models_.find(model.name);
    if (found == models_.end())
      return Error(Code::kNotFound, "Request for unknown model: '" + model.name + "' is not found", "unknown_model");
    return found->second;
  }
  std::vector<std::shared_ptr<const ModelInfo>> TextModels() const override { return {}; }
  bool Live() const override { return true; }
  bool Ready() const override { return false; }
  bool ModelReady(const ModelRef& model) const override { return models_.contains(model.name); }
  void Load(std::string name, LoadOptions options, Done done) override {
    calls.push_back("load " + name);
    load_options = std::move(options);
    done(Nothing{});
  }
  void Unload(std::string name, bool dependents, Done done) override {
    calls.push_back("unload " + name + (dependents ? " and dependents" : ""));
    done(Nothing{});
  }
  std::vector<IndexEntry> Index(bool ready_only) const override {
    std::vector<IndexEntry> all{{"echo", 1, "READY", ""}};
    if (!ready_only) all.push_back({"never", std::nullopt, "", ""});
    return all;
  }
  Result<std::vector<ModelStats>> Statistics(const ModelRef&) const override { return std::vector<ModelStats>{}; }

 private:
  void Add(std::string name, bool decoupled, std::vector<TensorMetadata> inputs, std::vector<TensorMetadata> outputs) {
    auto model = std::make_shared<ModelInfo>();
    model->name = name;
    model->decoupled = decoupled;
    model->versions = {1};
    model->inputs = std::move(inputs);
    model->outputs = std::move(outputs);
    model->config = std::make_shared<inference::ModelConfig>();
    models_[name] = model;
  }
  std::map<std::string, std::shared_ptr<const ModelInfo>> models_;
};

InferResponse Says(std::string text, bool final) {
  std::string wire;
  AppendBytesElement(wire, text);
  InferResponse response;
  response.outputs = {{"text_output", Datatype::kBytes, {1}, Bytes::Own(std::move(wire))}};
  response.final = final;
  return response;
}

InferResponse Fails(std::string text, bool final) {
  InferResponse response;
  response.error = Status{Code::kInternal, std::move(text), "", ""};
  response.final = final;
  return response;
}

InferResponse Ends() {
  InferResponse response;
  response.empty = true;
  return response;
}

class V2 : public testing::Test {
 protected:
  explicit V2(V2Options options = {}) : api_(models_, Complete(std::move(options))) { api_.Register(routes_); }

  static V2Options Complete(V2Options options) {
    options.server_id = "nereid";
    options.version = "1.0";
    options.header_forward_pattern = "(?i)^x-fwd-";
    options.authenticate = [](std::optional<std::string_view> authorization) -> Result<Principal> {
      Principal principal;
      if (authorization == "Bearer admin") principal.scopes = static_cast<std::uint32_t>(Scope::kAdmin);
      else if (authorization == "Bearer infer") principal.scopes = static_cast<std::uint32_t>(Scope::kInfer);
      else return Error(Code::kUnauthenticated, "no such key", "invalid_api_key");
      principal.model_globs = {"ec*"};
      return principal;
    };
    return options;
  }

  FakeExchange& Send(Method method, std::string path, std::string body = {},
                     std::vector<std::pair<std::string_view, std::string_view>> headers = {}) {
    exchange_ = std::make_unique<FakeExchange>(context_.get_executor(), method, std::move(path), std::move(body));
    for (auto [name, value] : headers) exchange_->AddHeader(name, value);
    net::Spawn(context_.get_executor(), routes_.Serve(*exchange_), [](Result<Nothing>) {});
    context_.restart();
    context_.run();
    EXPECT_TRUE(exchange_->finished()) << "no answer";
    return *exchange_;
  }

  Models models_;
  Routes routes_;
  V2Api api_;
  boost::asio::io_context context_{1};
  std::unique_ptr<FakeExchange> exchange_;
};

constexpr char kEcho[] = R"({"id":"a","inputs":[{"name":"I","datatype":"INT32","shape":[2],"data":[1,2]}]})";

TEST_F(V2, HealthIsAStatusWithoutABody) {
  EXPECT_EQ(Send(Method::kGet, "/v2/health/live").answered.status, 200);
  EXPECT_EQ(Send(Method::kGet, "/v2/health/ready").answered.status, 400);
  EXPECT_EQ(exchange_->text, "");
  EXPECT_EQ(Send(Method::kGet, "/v2/models/echo/ready").answered.status, 200);
  EXPECT_EQ(Send(Method::kGet, "/v2/models/nope/ready").text, R"({"error":"Model version not ready"})");
  EXPECT_EQ(exchange_->answered.status, 400);
}

TEST_F(V2, InferAnswersJsonAndBinary) {
  EXPECT_EQ(Send(Method::kPost, "/v2/models/echo/infer", kEcho).text,
            R"({"id":"a","model_name":"echo","model_version":"1","outputs":[{"name":"O","datatype":"INT32","shape":[2],"data":[1,2]}]})");
  EXPECT_EQ(exchange_->answered.content_type, "application/json");

  Send(Method::kPost, "/v2/models/echo/versions/1/infer",
       R"({"parameters":{"binary_data_output":true},"inputs":[{"name":"I","datatype":"INT32","shape":[1],"data":[7]}]})");
  EXPECT_EQ(exchange_->answered.content_type, "application/octet-stream");
  std::size_t json = std::stoul(std::string(exchange_->Sent("Inference-Header-Content-Length")));
  EXPECT_EQ(exchange_->text.substr(json), std::string("\7\0\0\0", 4));
}

TEST_F(V2, AnswersAreCompressedOnlyWhenAsked) {
  Send(Method::kPost, "/v2/models/echo/infer", kEcho, {{"Accept-Encoding", "br, gzip"}});
  EXPECT_EQ(exchange_->Sent("Content-Encoding"), "gzip");
  EXPECT_EQ(Send(Method::kPost, "/v2/models/nope/infer", kEcho, {{"Accept-Encoding", "gzip"}}).Sent("Content-Encoding"), "");
}

TEST_F(V2, ErrorsCarryTritonsStatusAndType) {
  struct Row {
    Method method;
    std::string path, body;
    int status;
    std::string type, text;
  };
  const Row rows[] = {
      {Method::kPost, "/v2/models/nope/infer", kEcho, 404, "text/plain", "Request for unknown model: 'nope' is not found"},
      {Method::kGet, "/v2/models/nope", "", 404, "application/json", "Request for unknown model: 'nope' is not found"},
      {Method::kPost, "/v2/models/talk/infer", kEcho, 501, "text/plain",
       "HTTP end point doesn't support models with decoupled transaction policy"},
      {Method::kPost, "/v2/models/echo/infer", "{", 500, "application/json",
       "failed to parse the request JSON buffer: Missing a name for object member. at 1"},
      {Method::kPost, "/v2/models/echo/versions/99999999999999999999/infer", kEcho, 400, "text/plain",
       "failed to get model version from specified version string '99999999999999999999' (details: stol), version should be an integral value > 0"},
      {Method::kPost, "/v2/models/echo/versions/latest/infer", kEcho, 404, "text/plain", "Not Found"},
      {Method::kGet, "/v2/models/echo/infer", "", 405, "text/plain", "Method Not Allowed"},
      {Method::kPut, "/v2", "", 405, "application/json", "Method Not Allowed"},
      {Method::kPost, "/v2/repository/other/models/echo/load", "", 501, "application/json",
       "'repository_name' specification is not supported"},
      {Method::kPost, "/v2/systemsharedmemory/region/r/register", R"({"key":"/k","byte_size":4})", 501, "application/json",
       "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."},
      {Method::kPost, "/v2/systemsharedmemory/region/r/register", R"({"key":5,"byte_size":4})", 500, "application/json",
       "attempt to access JSON non-string as string"},
      {Method::kGet, "/v2/cudasharedmemory/region/x/status", "", 404, "application/json", "Unable to find cuda shared memory region: 'x'"},
      {Method::kGet, "/v2/models/nope/trace/setting", "", 400, "application/json", "Request for unknown model : nope"},
      {Method::kPost, "/v2/logging", R"({"log_verbose_level":-1})", 500, "application/json",
       "attempt to access JSON non-unsigned-integer as unsigned-integer"},
      {Method::kPost, "/v2/repository/index", R"({"ready":"yes"})", 500, "application/json",
       "attempt to access JSON non-boolean as boolean"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.path + " " + row.body);
    FakeExchange& exchange = Send(row.method, row.path, row.body);
    EXPECT_EQ(exchange.answered.status, row.status);
    EXPECT_EQ(exchange.answered.content_type, row.type);
    EXPECT_EQ(exchange.text, "{\"error\":\"" + row.text + "\"}");
  }
}

TEST_F(V2, GenerateTakesExactlyOneAnswer) {
  models_.script.push_back(Says("HI", false));
  models_.script.push_back(Ends());
  EXPECT_EQ(Send(Method::kPost, "/v2/models/talk/generate", R"({"text_input":"hi"})").text,
            R"({"model_name":"talk","model_version":"1","text_output":"HI"})");
  models_.script.clear();
  models_.script.push_back(Says("a", false));
  models_.script.push_back(Says("b", true));
  EXPECT_EQ(Send(Method::kPost, "/v2/models/talk/generate", R"({"text_input":"hi"})").answered.status, 400);
  EXPECT_NE(exchange_->text.find("exactly 1 response"), std::string::npos);
  models_.script.clear();
  models_.script.push_back(Fails("boom", true));
  EXPECT_EQ(Send(Method::kPost, "/v2/models/talk/generate", R"({"text_input":"hi"})").text, R"({"error":"boom"})");
  EXPECT_EQ(exchange_->answered.status, 400);
}

TEST_F(V2, GenerateStreamSendsAnEventForEveryAnswerAndError) {
  models_.script.push_back(Says("one", false));
  models_.script.push_back(Fails("boom", false));
  models_.script.push_back(Says("three", false));
  models_.script.push_back(Ends());
  Send(Method::kPost, "/v2/models/talk/generate_stream", R"({"text_input":"hi"})");
  EXPECT_EQ(exchange_->answered.status, 200);
  EXPECT_EQ(exchange_->answered.content_type, "text/event-stream; charset=utf-8");
  EXPECT_EQ(exchange_->writes, 3);
  EXPECT_EQ(exchange_->text,
            "data: {\"model_name\":\"talk\",\"model_version\":\"1\",\"text_output\":\"one\"}\n\n"
            "data: {\"error\":\"boom\"}\n\n"
            "data: {\"model_name\":\"talk\",\"model_version\":\"1\",\"text_output\":\"three\"}\n\n");
}

TEST_F(V2, AStreamWithoutAnswersIsAnEmptyStream) {
  models_.script.push_back(Ends());
  Send(Method::kPost, "/v2/models/talk/generate_stream", R"({"text_input":"hi"})");
  EXPECT_EQ(exchange_->answered.status, 200);
  EXPECT_EQ(exchange_->text, "");
}

TEST_F(V2, LoadHandsOnTheOverrides) {
  Send(Method::kPost, "/v2/repository/models/m/load", R"({"parameters":{"config":"{}","file:1/model.onnx":"aGk="}})");
  EXPECT_EQ(exchange_->answered.status, 200);
  EXPECT_EQ(models_.load_options.config_json, "{}");
  ASSERT_EQ(models_.load_options.files.size(), 1U);
  EXPECT_EQ(models_.load_options.files[0], (std::pair<std::string, std::string>("1/model.onnx", "hi")));
  Send(Method::kPost, "/v2/repository/models/m/unload", R"({"parameters":{"unload_dependents":true}})");
  EXPECT_EQ(models_.calls, (std::vector<std::string>{"load m", "unload m and dependents"}));
}

TEST_F(V2, ForwardedHeadersBecomeParametersAndGoBeforeThoseOfTheBody) {
  Send(Method::kPost, "/v2/models/echo/infer", R"({"parameters":{"x-fwd-user":"body"},"inputs":[]})",
       {{"x-fwd-user", "head"}, {"other", "no"}});
  ASSERT_EQ(models_.parameters.size(), 1U);
  EXPECT_EQ(std::get<std::string>(models_.parameters[0].second), "head");
}

class V2Infer : public V2 {
 protected:
  V2Infer() : V2(V2Options{.auth = V2Auth::kInfer}) {}
};

TEST_F(V2Infer, InferenceIsOpenAndControlNeedsTheAdminScope) {
  EXPECT_EQ(Send(Method::kPost, "/v2/models/echo/infer", kEcho).answered.status, 200);
  EXPECT_EQ(Send(Method::kPost, "/v2/repository/models/echo/load").answered.status, 401);
  EXPECT_EQ(exchange_->text, R"({"error":"no such key"})");
  EXPECT_EQ(Send(Method::kPost, "/v2/repository/models/echo/load", "", {{"Authorization", "Bearer infer"}}).answered.status, 403);
  EXPECT_EQ(Send(Method::kPost, "/v2/repository/models/echo/load", "", {{"Authorization", "Bearer admin"}}).answered.status, 200);
  for (std::string_view path : {"/v2/logging", "/v2/trace/setting", "/v2/systemsharedmemory/unregister"})
    EXPECT_EQ(Send(Method::kPost, std::string(path), "{}").answered.status, 401) << path;
}

class V2Required : public V2 {
 protected:
  V2Required() : V2(V2Options{.auth = V2Auth::kRequired}) {}
};

TEST_F(V2Required, EverythingButHealthNeedsAKey) {
  EXPECT_EQ(Send(Method::kGet, "/v2/health/live").answered.status, 200);
  EXPECT_EQ(Send(Method::kGet, "/v2").answered.status, 401);
  EXPECT_EQ(exchange_->Sent("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(Send(Method::kPost, "/v2/models/echo/infer", kEcho, {{"Authorization", "Bearer infer"}}).answered.status, 200);
  EXPECT_EQ(Send(Method::kGet, "/v2/models/talk", "", {{"Authorization", "Bearer infer"}}).answered.status, 403)
      << "a key may be bound to some models";
}

class V2Restricted : public V2 {
 protected:
  V2Restricted() : V2(V2Options{.restricted = {{{"statistics", "model-repository"}, "admin-key", "secret"}}}) {}
};

TEST_F(V2Restricted, ARestrictedApiWantsItsHeader) {
  EXPECT_EQ(Send(Method::kPost, "/v2/repository/index").answered.status, 403);
  EXPECT_EQ(exchange_->text, R"({"error":"This API is restricted, expecting header 'admin-key'"})");
  EXPECT_EQ(exchange_->answered.content_type, "text/plain");
  EXPECT_EQ(Send(Method::kPost, "/v2/repository/index", "", {{"admin-key", "wrong"}}).answered.status, 403);
  EXPECT_EQ(Send(Method::kPost, "/v2/repository/index", "", {{"admin-key", "secret"}}).answered.status, 200);
  EXPECT_EQ(Send(Method::kPost, "/v2/models/echo/infer", kEcho).answered.status, 200);
}

}  // namespace
}  // namespace nereid::http

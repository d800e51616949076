// The backend as models/ uses it, on a tiny random model.
#include "backends/llama/llama_backend.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "backends/llama/text_instance.h"
#include "backends/llama/tiny_gguf_for_test.h"
#include "proto/model_config.pb.h"

namespace nereid::llama {
namespace {

struct Answers {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<InferResponse> responses;  // guarded by mutex

  std::vector<InferResponse> WaitForAll() {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [this] { return !responses.empty() && responses.back().final; }));
    return responses;
  }
};

class FakeExecution final : public Execution {
 public:
  FakeExecution(InferRequest request, std::shared_ptr<Answers> answers) : request_(std::move(request)), answers_(std::move(answers)) {}
  const InferRequest& request() const override { return request_; }
  std::int64_t batch_size() const override { return 1; }
  bool cancelled() const override { return request_.cancellation.cancelled(); }
  Pushed Send(InferResponse&& response) override {
    std::lock_guard lock(answers_->mutex);
    answers_->responses.push_back(std::move(response));
    answers_->changed.notify_all();
    return Pushed::kTaken;
  }
  void OnRoom(std::function<void()> wake) override { wake(); }

 private:
  const InferRequest request_;
  const std::shared_ptr<Answers> answers_;
};

Tensor Text(std::vector<std::string> texts) {
  std::string wire;
  for (const std::string& text : texts) AppendBytesElement(wire, text);
  return {.name = "text_input",
          .datatype = Datatype::kBytes,
          .shape = {static_cast<std::int64_t>(texts.size())},
          .data = Bytes::Own(std::move(wire))};
}

InferRequest Ask(Parameters parameters) {
  InferRequest request;
  request.inputs = {Text({"go"})};
  request.parameters = std::move(parameters);
  return request;
}

std::string TextOf(const InferResponse& response) {
  return response.outputs.empty() ? "" : std::string(SplitBytes(response.outputs.front().data.view()).value().front());
}

class LlamaBackendTest : public testing::Test {
 protected:
  LlamaBackendTest() {
    files_.model_name = "tiny";
    files_.model_folder = std::filesystem::temp_directory_path() / ("nereid_llama_" + std::to_string(getpid()));
    files_.version_folder = files_.model_folder / "1";
    std::filesystem::create_directories(files_.version_folder);
  }
  ~LlamaBackendTest() override { std::filesystem::remove_all(files_.model_folder); }

  void WriteModel(const std::string& name = "model.gguf") { TinyGguf().Write(files_.version_folder / name); }
  Result<Nothing> Load() {
    TRY_DO(backend_->AutoComplete(files_, config_));
    TRY(model_, backend_->Load(files_, config_, nullptr));
    TRY(instance_, model_->CreateInstance({}));
    return Nothing{};
  }
  std::vector<InferResponse> Execute(InferRequest request) {
    auto answers = std::make_shared<Answers>();
    ExecutionBatch batch;
    batch.push_back(std::make_unique<FakeExecution>(std::move(request), answers));
    instance_->Execute(std::move(batch));
    return answers->WaitForAll();
  }

  ModelFiles files_;
  inference::ModelConfig config_;
  std::unique_ptr<Backend> backend_ = MakeLlamaBackend({});
  std::unique_ptr<BackendModel> model_;
  std::unique_ptr<ModelInstance> instance_;
};

TEST_F(LlamaBackendTest, CompletesAnEmptyConfiguration) {
  WriteModel();
  ASSERT_TRUE(Load().has_value());
  EXPECT_EQ(config_.backend(), "llama");
  EXPECT_EQ(config_.max_batch_size(), 0);
  EXPECT_TRUE(config_.model_transaction_policy().decoupled());
  ASSERT_EQ(config_.input_size(), 2);
  EXPECT_EQ(config_.input(0).name(), "text_input");
  EXPECT_EQ(config_.input(0).data_type(), inference::TYPE_STRING);
  EXPECT_TRUE(config_.input(1).optional());
  EXPECT_EQ(config_.output(0).name(), "text_output");
  EXPECT_EQ(model_->text_generator()->context_tokens(), TinyGguf::kContext);
}

TEST_F(LlamaBackendTest, ReadsItsParameters) {
  WriteModel();
  (*config_.mutable_parameters())["context_tokens"].set_string_value("64");
  ASSERT_TRUE(Load().has_value());
  EXPECT_EQ(model_->text_generator()->context_tokens(), 64);

  (*config_.mutable_parameters())["max_sequences"].set_string_value("many");
  Status status = Load().error();
  EXPECT_EQ(status.code, Code::kInvalidArgument);
  EXPECT_NE(status.message.find("parameter 'max_sequences'"), std::string::npos);
}

TEST_F(LlamaBackendTest, RefusesABatchSize) {
  WriteModel();
  config_.set_max_batch_size(4);
  EXPECT_EQ(Load().error().code, Code::kInvalidArgument);
}

TEST_F(LlamaBackendTest, TakesTheOnlyGgufAndRefusesToGuess) {
  WriteModel("some-name.Q4.gguf");
  ASSERT_TRUE(Load().has_value());
  WriteModel("other.gguf");
  EXPECT_NE(Load().error().message.find("2 .gguf files"), std::string::npos);
  config_.set_default_model_filename("other.gguf");
  EXPECT_TRUE(Load().has_value());
}

TEST_F(LlamaBackendTest, NamesTheFolderWithoutAModel) {
  EXPECT_NE(Load().error().message.find(files_.version_folder.string()), std::string::npos);
}

TEST_F(LlamaBackendTest, NamesABrokenFile) {
  std::string bytes = TinyGguf().Bytes();
  std::ofstream(files_.version_folder / "model.gguf", std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  EXPECT_NE(Load().error().message.find("model.gguf: not a usable GGUF file"), std::string::npos);
}

TEST_F(LlamaBackendTest, PassesOnWhyLlamaCppCannotLoad) {
  std::string bytes = TinyGguf().Bytes();
  bytes.replace(bytes.find("ffn_gate"), 8, "ffn_gaTe");
  std::ofstream(files_.version_folder / "model.gguf", std::ios::binary) << bytes;
  std::string message = Load().error().message;
  EXPECT_NE(message.find("model.gguf: llama.cpp cannot load it"), std::string::npos) << message;
  EXPECT_NE(message.find("ffn_gate"), std::string::npos) << message;
}

TEST_F(LlamaBackendTest, StreamsOneResponseAStepAndEndsWithAFinalOne) {
  WriteModel();
  ASSERT_TRUE(Load().has_value());
  auto responses = Execute(Ask({{"max_tokens", std::int64_t{6}}, {"temperature", std::int64_t{0}}, {"ignore_eos", true}}));
  EXPECT_GT(responses.size(), 2u);
  std::string text;
  for (std::size_t i = 0; i < responses.size(); ++i) {
    EXPECT_FALSE(responses[i].error.has_value());
    EXPECT_EQ(responses[i].final, i + 1 == responses.size());
    text += TextOf(responses[i]);
  }
  EXPECT_TRUE(responses.back().times.has_value());

  auto whole = Execute(Ask({{"max_tokens", std::int64_t{6}}, {"temperature", 0.0}, {"ignore_eos", true}, {"stream", false}}));
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(TextOf(whole.front()), text);
  EXPECT_EQ(whole.front().outputs.front().shape, Shape{1});
}

TEST_F(LlamaBackendTest, TakesTheStreamInputBeforeTheParameter) {
  InferRequest request = Ask({{"stream", true}});
  request.inputs.push_back({.name = "stream", .datatype = Datatype::kBool, .shape = {1}, .data = Bytes::Own(std::string(1, '\0'))});
  EXPECT_FALSE(ReadTextCommand(request)->stream);
}

TEST_F(LlamaBackendTest, AnswersBadRequestsWithAnError) {
  WriteModel();
  ASSERT_TRUE(Load().has_value());
  for (InferRequest request :
       {Ask({{"max_tokens", std::string("six")}}), Ask({{"top_k", 1.5}}), Ask({{"temperature", -1.0}}), InferRequest{}}) {
    auto responses = Execute(std::move(request));
    ASSERT_EQ(responses.size(), 1u);
    EXPECT_TRUE(responses.front().final);
    EXPECT_EQ(responses.front().error.value_or(Status{}).code, Code::kInvalidArgument);
  }
  InferRequest two;
  two.inputs = {Text({"a", "b"})};
  EXPECT_EQ(Execute(two).front().error.value_or(Status{}).message, "input 'text_input' must have exactly one element, it has 2");
}

}  // namespace
}  // namespace nereid::llama

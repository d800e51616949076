// Models come, go and change on folders of their own; the identity-like backend here is a few lines, threads are real, nothing sleeps.
#include "models/model_server.h"

#include <gtest/gtest.h>

#include <fstream>
#include <future>

#include "base/ids.h"

namespace nereid::models {
namespace {

namespace fs = std::filesystem;

// Echoes its input; holds executions while `gate` is closed.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = true;
  int waiting = 0, batches = 0;
  std::size_t largest = 0;

  void Set(bool value) {
    std::lock_guard lock(mutex);
    open = value;
    changed.notify_all();
  }
  void AwaitWaiting(int count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting >= count; });
  }
};

class EchoInstance final : public ModelInstance {
 public:
  explicit EchoInstance(Gate& gate) : gate_(gate) {}
  void Execute(ExecutionBatch batch) override {
    {
      std::unique_lock lock(gate_.mutex);
      ++gate_.batches;
      gate_.largest = std::max(gate_.largest, batch.size());
      ++gate_.waiting;
      gate_.changed.notify_all();
      gate_.changed.wait(lock, [&] { return gate_.open; });
      --gate_.waiting;
    }
    for (auto& execution : batch) {
      InferResponse response;
      response.outputs = execution->request().inputs;
      response.outputs[0].name = "OUT";
      execution->Send(std::move(response));
    }
  }

 private:
  Gate& gate_;
};

class EchoModel final : public BackendModel {
 public:
  explicit EchoModel(Gate& gate) : gate_(gate) {}
  Result<std::unique_ptr<ModelInstance>> CreateInstance(const InstanceSpec&) override { return std::make_unique<EchoInstance>(gate_); }

 private:
  Gate& gate_;
};

class EchoBackend final : public Backend {
 public:
  explicit EchoBackend(Gate& gate) : gate_(gate) {}
  Result<std::unique_ptr<Opened>> AutoComplete(const ModelFiles&, inference::ModelConfig&) override { return nullptr; }
  Result<std::unique_ptr<BackendModel>> Load(const ModelFiles& files, const inference::ModelConfig&, std::unique_ptr<Opened>) override {
    if (fs::remove(files.version_folder / "fails_once")) return Error(Code::kInternal, "not yet");
    if (fs::exists(files.version_folder / "broken")) return Error(Code::kInternal, "the file is broken");
    return std::make_unique<EchoModel>(gate_);
  }

 private:
  Gate& gate_;
};

class Answer final : public InferReceiver {
 public:
  Pushed Push(InferResponse&& response) override {
    promise_.set_value(std::move(response));
    return Pushed::kTaken;
  }
  void OnRoom(std::function<void()> wake) override { wake(); }
  std::future<InferResponse> future() { return promise_.get_future(); }

 private:
  std::promise<InferResponse> promise_;
};

class ModelServerTest : public testing::Test {
 protected:
  ModelServerTest() {
    std::string name;
    for (unsigned char c : RandomBytes(8)) name += static_cast<char>('a' + c % 26);
    folder_ = fs::temp_directory_path() / ("nereid-models-" + name);
    fs::create_directories(folder_);
    config_.repositories = {folder_.string()};
    config_.control = ControlMode::kExplicit;
    config_.exit_on_error = false;
  }
  ~ModelServerTest() override {
    gate_.Set(true);
    server_.reset();
    fs::remove_all(folder_);
  }

  void Write(const std::string& model, const std::string& extra = "", int version = 1) {
    fs::create_directories(folder_ / model / std::to_string(version));
    std::ofstream(folder_ / model / "config.pbtxt")
        << "backend: \"echo\" input [ { name: \"IN\" data_type: TYPE_INT32 dims: [ 1 ] } ] output [ { name: \"OUT\" data_type: "
           "TYPE_INT32 dims: [ 1 ] } ] "
        << extra;
  }
  ModelServer& Start() {
    std::map<std::string, BackendFactory> backends;
    backends["echo"] = [this](const auto&) -> Result<std::unique_ptr<Backend>> { return std::make_unique<EchoBackend>(gate_); };
    server_ = std::make_unique<ModelServer>(config_, backends, 1 << 20, SystemClock());
    started_ = server_->Start();
    return *server_;
  }
  Result<Nothing> Load(const std::string& model, LoadOptions options = {}) {
    std::promise<Result<Nothing>> done;
    server_->Load(model, std::move(options), [&](Result<Nothing> result) { done.set_value(std::move(result)); });
    return done.get_future().get();
  }
  std::future<Result<Nothing>> UnloadLater(const std::string& model) {
    auto done = std::make_shared<std::promise<Result<Nothing>>>();
    server_->Unload(model, false, [done](Result<Nothing> result) { done->set_value(std::move(result)); });
    return done->get_future();
  }
  std::future<InferResponse> Submit(const std::string& model, bool batches = false, Cancellation cancellation = {}) {
    InferRequest request;
    request.model = {model, -1};
    request.cancellation = std::move(cancellation);
    request.inputs.push_back({"IN", Datatype::kInt32, batches ? Shape{1, 1} : Shape{1}, Bytes::Own(std::string(4, 'x'))});
    auto receiver = std::make_shared<Answer>();
    auto future = receiver->future();
    server_->Submit(std::move(request), receiver);
    return future;
  }
  std::string StateOf(const std::string& model) {
    for (const IndexEntry& entry : server_->Index(false)) {
      if (entry.name == model) return entry.state;
    }
    return "absent";
  }

  Gate gate_;
  fs::path folder_;
  ModelsConfig config_;
  std::unique_ptr<ModelServer> server_;
  Result<Nothing> started_ = Nothing{};
};

TEST_F(ModelServerTest, AFailedLoadIsTriedAgainAsOftenAsToldTo) {
  Write("m");
  Start();
  std::ofstream(folder_ / "m/1/fails_once") << "x";
  EXPECT_FALSE(Load("m"));
  config_.load_retries = 1;
  Start();
  std::ofstream(folder_ / "m/1/fails_once") << "x";
  EXPECT_TRUE(Load("m"));
}

TEST_F(ModelServerTest, ALoadedModelAnswersAndCounts) {
  Write("m");
  Start();
  ASSERT_TRUE(Load("m"));
  EXPECT_FALSE(Submit("m").get().error);
  auto stats = server_->Statistics({"m", -1});
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->front().success.count, 1u);
  EXPECT_EQ(stats->front().execution_count, 1u);
  EXPECT_EQ(stats->front().inference_count, 1u);
}

TEST_F(ModelServerTest, StrayFilesAndUnknownNamesDoNoHarm) {
  std::ofstream(folder_ / "triton_config.yml") << "x";
  Write("m");
  Start();
  EXPECT_EQ(Load("nobody").error().message, "failed to load 'nobody', failed to poll from model repository");
  EXPECT_FALSE(Load("../etc"));
  EXPECT_TRUE(server_->Ready());
  EXPECT_EQ(Submit("nobody").get().error->message, "Request for unknown model: 'nobody' is not found");
}

TEST_F(ModelServerTest, AFailedLoadMakesTheServerNotReadyUntilItLoads) {
  Write("m");
  std::ofstream(folder_ / "m" / "1" / "broken") << "x";
  Start();
  auto failed = Load("m");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "load failed for model 'm': version 1 is at UNAVAILABLE state: Internal: the file is broken;\n");
  EXPECT_FALSE(server_->Ready());
  EXPECT_EQ(StateOf("m"), "UNAVAILABLE");
  fs::remove(folder_ / "m" / "1" / "broken");
  ASSERT_TRUE(Load("m"));
  EXPECT_TRUE(server_->Ready());
}

TEST_F(ModelServerTest, AReloadThatFailsKeepsTheOldVersionServing) {
  Write("m");
  Start();
  ASSERT_TRUE(Load("m"));
  std::ofstream(folder_ / "m" / "1" / "broken") << "x";
  EXPECT_FALSE(Load("m"));
  EXPECT_FALSE(Submit("m").get().error);
}

TEST_F(ModelServerTest, UnloadAnswersAtOnceAndRequestsInFlightEnd) {
  Write("m");
  Start();
  ASSERT_TRUE(Load("m"));
  gate_.Set(false);
  auto running = Submit("m");
  gate_.AwaitWaiting(1);
  EXPECT_TRUE(UnloadLater("m").get());
  EXPECT_EQ(StateOf("m"), "UNLOADING");
  EXPECT_TRUE(Submit("m").get().error);
  gate_.Set(true);
  EXPECT_FALSE(running.get().error);
  while (StateOf("m") == "UNLOADING") std::this_thread::yield();
  EXPECT_EQ(StateOf("m"), "UNAVAILABLE");
}

TEST_F(ModelServerTest, RequestsThatQueueWhileTheInstanceIsBusyShareABatch) {
  Write("m", "max_batch_size: 8 dynamic_batching { }");
  Start();
  ASSERT_TRUE(Load("m"));
  gate_.Set(false);
  std::vector<std::future<InferResponse>> answers;
  answers.push_back(Submit("m", true));
  gate_.AwaitWaiting(1);
  for (int i = 0; i < 8; ++i) answers.push_back(Submit("m", true));
  gate_.Set(true);
  for (auto& answer : answers) EXPECT_FALSE(answer.get().error);
  EXPECT_EQ(gate_.batches, 2);
  EXPECT_EQ(gate_.largest, 8u);
  EXPECT_EQ(server_->Statistics({"m", -1})->front().execution_count, 2u);
}

TEST_F(ModelServerTest, ACancelledRequestInTheQueueIsNeverExecuted) {
  Write("m");
  Start();
  ASSERT_TRUE(Load("m"));
  gate_.Set(false);
  auto running = Submit("m");
  gate_.AwaitWaiting(1);
  Cancellation cancellation;
  auto queued = Submit("m", false, cancellation);
  cancellation.Cancel();
  gate_.Set(true);
  EXPECT_FALSE(running.get().error);
  EXPECT_EQ(queued.get().error->code, Code::kCancelled);
  EXPECT_EQ(gate_.batches, 1);
}

TEST_F(ModelServerTest, WhatIsQueuedIsBoundedOverTheWholeServer) {
  Write("m");
  Start();
  ASSERT_TRUE(Load("m"));
  InferRequest request;
  request.model = {"m", -1};
  request.inputs.push_back({"IN", Datatype::kInt32, {1}, Bytes::Own(std::string(4, 'x'))});
  gate_.Set(false);
  std::vector<std::future<InferResponse>> answers;
  std::optional<Status> refused;
  for (int i = 0; i < (1 << 18) + 8 && !refused; ++i) {
    auto receiver = std::make_shared<Answer>();
    auto answer = receiver->future();
    server_->Submit(request, receiver);
    if (answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready) refused = answer.get().error;
    else answers.push_back(std::move(answer));
  }
  gate_.Set(true);
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->message.ends_with("Exceeds maximum queue size"));
  for (auto& answer : answers) EXPECT_FALSE(answer.get().error);
}

TEST_F(ModelServerTest, TheVersionPolicyChoosesTheVersions) {
  Write("m", "version_policy { specific { versions: [ 1, 3 ] } }");
  for (int version : {2, 3}) fs::create_directories(folder_ / "m" / std::to_string(version));
  Start();
  ASSERT_TRUE(Load("m"));
  auto info = server_->Find({"m", -1});
  ASSERT_TRUE(info);
  EXPECT_EQ((*info)->version, 3);
  EXPECT_EQ((*info)->versions, (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(server_->Find({"m", 2}).error().message, "Request for unknown model: 'm' version 2 is not found");
}

TEST_F(ModelServerTest, OverridesWriteNoFileOutsideTheirFolder) {
  Write("m");
  Start();
  LoadOptions options;
  options.config_json = R"({"backend":"echo"})";
  options.files = {{"../../escape", "x"}};
  EXPECT_FALSE(Load("m", options));
  EXPECT_FALSE(fs::exists(fs::temp_directory_path() / "escape"));
}

TEST_F(ModelServerTest, StartFailsWhenAModelDoesAndExitOnErrorIsSet) {
  Write("m");
  std::ofstream(folder_ / "m" / "1" / "broken") << "x";
  config_.control = ControlMode::kNone;
  config_.exit_on_error = true;
  Start();
  ASSERT_FALSE(started_);
  EXPECT_EQ(started_.error().message, "failed to load all models");
}

TEST_F(ModelServerTest, LoadIsRefusedOutsideExplicitMode) {
  Write("m");
  config_.control = ControlMode::kNone;
  Start();
  EXPECT_EQ(Load("m").error().message, "explicit model load / unload is not allowed if polling is enabled");
}

}  // namespace
}  // namespace nereid::models

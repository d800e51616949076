// Instances of a few lines that do what the test says; threads are real, nothing sleeps.
#include "models/scheduler/scheduler.h"

#include <future>
#include <thread>

#include <gtest/gtest.h>

namespace nereid::models {
namespace {

// What the instances of a test share with it.
class Stage {
 public:
  void Say(const std::string& what) {
    std::lock_guard lock(mutex_);
    said_.push_back(what);
    changed_.notify_all();
  }
  void Await(const std::string& what) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return std::find(said_.begin(), said_.end(), what) != said_.end(); });
  }
  bool Said(const std::string& what) {
    std::lock_guard lock(mutex_);
    return std::find(said_.begin(), said_.end(), what) != said_.end();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> said_;
};

// Keeps what is posted until the test ends it.
class Poster {
 public:
  explicit Poster(Stage& stage) : stage_(stage) {}
  void SetHooks(InstanceHooks hooks) { hooks_ = std::move(hooks); }
  void Execute(ExecutionBatch batch) {
    std::lock_guard lock(mutex_);
    thread_ = std::this_thread::get_id();
    batches_.push_back(std::move(batch));
    changed_.notify_all();
  }
  Standing Attend() {
    stage_.Say("attending");
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return standing_.has_value(); });
    Standing standing = *standing_;
    standing_.reset();
    stage_.Say("attended");
    return standing;
  }

  // The sizes of the batches that are under way.
  std::vector<std::size_t> UnderWay() {
    std::lock_guard lock(mutex_);
    std::vector<std::size_t> sizes;
    for (const ExecutionBatch& batch : batches_) sizes.push_back(batch.size());
    return sizes;
  }
  void AwaitUnderWay(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return batches_.size() >= count; });
  }
  void EndOne() {
    ExecutionBatch batch;
    {
      std::lock_guard lock(mutex_);
      batch = std::move(batches_.front());
      batches_.pop_front();
    }
    for (auto& execution : batch) execution->Send({});
    batch.clear();
    hooks_.over();
  }
  void WantAttention() { hooks_.attend(); }
  void Stand(Standing standing) {
    std::lock_guard lock(mutex_);
    standing_ = std::move(standing);
    changed_.notify_all();
  }
  std::thread::id thread() {
    std::lock_guard lock(mutex_);
    return thread_;
  }

 private:
  Stage& stage_;
  InstanceHooks hooks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ExecutionBatch> batches_;
  std::optional<Standing> standing_;
  std::thread::id thread_;
};

class PosterInstance final : public ModelInstance {
 public:
  explicit PosterInstance(std::shared_ptr<Poster> poster) : poster_(std::move(poster)) {}
  bool posts() const override { return true; }
  void SetHooks(InstanceHooks hooks) override { poster_->SetHooks(std::move(hooks)); }
  void Execute(ExecutionBatch batch) override { poster_->Execute(std::move(batch)); }
  Standing Attend() override { return poster_->Attend(); }

 private:
  const std::shared_ptr<Poster> poster_;
};

// Executes on its own thread.
class Worker final : public ModelInstance {
 public:
  explicit Worker(Stage& stage) : stage_(stage) {}
  void Execute(ExecutionBatch batch) override {
    stage_.Say("executing");
    stage_.Await("go on");
    for (auto& execution : batch) execution->Send({});
  }
  void Stop() override { stage_.Say("stopped"); }

 private:
  Stage& stage_;
};

class Answer final : public InferReceiver {
 public:
  explicit Answer(std::function<void()> at_end = {}) : at_end_(std::move(at_end)) {}
  ~Answer() override {
    if (at_end_) at_end_();
  }
  Pushed Push(InferResponse&& response) override {
    promise_.set_value(std::move(response));
    return Pushed::kTaken;
  }
  void OnRoom(std::function<void()> wake) override { wake(); }
  std::future<InferResponse> future() { return promise_.get_future(); }

 private:
  std::function<void()> at_end_;
  std::promise<InferResponse> promise_;
};

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest() {
    inference::ModelConfig config;
    config.set_name("m");
    setup_.model = "m";
    setup_.inflight = &inflight_;
    setup_.clock = &SystemClock();
    setup_.statistics = std::make_shared<Statistics>();
    setup_.reshapes = std::make_shared<Reshapes>(config);
  }
  ~SchedulerTest() override {
    if (scheduler_) Stop();
  }
  void StartPosters(int count) {
    std::vector<std::unique_ptr<ModelInstance>> instances;
    for (int i = 0; i < count; ++i) {
      posters_.push_back(std::make_shared<Poster>(stage_));
      instances.push_back(std::make_unique<PosterInstance>(posters_.back()));
    }
    scheduler_ = std::make_unique<Scheduler>(setup_, std::move(instances));
  }
  void StartWorker() {
    std::vector<std::unique_ptr<ModelInstance>> instances;
    instances.push_back(std::make_unique<Worker>(stage_));
    scheduler_ = std::make_unique<Scheduler>(setup_, std::move(instances));
  }
  void Stop() {
    auto stopping = std::async(std::launch::async, [this] { scheduler_->Stop(); });
    for (auto& poster : posters_) {
      while (!poster->UnderWay().empty()) poster->EndOne();
    }
    stopping.get();
    scheduler_.reset();
  }
  std::future<InferResponse> Submit(std::size_t bytes = 4, std::function<void(InferRequest&)> change = {},
                                    std::function<void()> at_end = {}) {
    InferRequest request;
    request.model = {"m", -1};
    request.inputs.push_back({"IN", Datatype::kUint8, {1, static_cast<std::int64_t>(bytes)}, Bytes::Own(std::string(bytes, 'x'))});
    if (change) change(request);
    auto answer = std::make_shared<Answer>(std::move(at_end));
    auto future = answer->future();
    scheduler_->Enqueue(std::move(request), std::move(answer));
    return future;
  }
  void Dynamic(std::int64_t batch_size_max) {
    setup_.batches = true;
    setup_.batcher.dynamic = true;
    setup_.batcher.batch_size_max = batch_size_max;
  }

  Stage stage_;
  InflightBytes inflight_{64 << 20};
  SchedulerSetup setup_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<std::shared_ptr<Poster>> posters_;
};

using Sizes = std::vector<std::size_t>;

TEST_F(SchedulerTest, TheOnlyInstanceHasItsNextRequestAtHand) {
  StartPosters(1);
  std::vector<std::future<InferResponse>> answers;
  for (int i = 0; i < 3; ++i) answers.push_back(Submit());
  EXPECT_EQ(posters_[0]->UnderWay(), (Sizes{1, 1}));
  posters_[0]->EndOne();
  EXPECT_FALSE(answers[0].get().error);
  EXPECT_EQ(posters_[0]->UnderWay(), (Sizes{1, 1}));
  posters_[0]->EndOne();
  EXPECT_EQ(posters_[0]->UnderWay(), (Sizes{1}));
}

TEST_F(SchedulerTest, NoRequestWaitsBehindAnotherWhileAnInstanceIsFree) {
  StartPosters(2);
  auto first = Submit(), second = Submit(), third = Submit();
  EXPECT_EQ(posters_[0]->UnderWay(), (Sizes{1}));
  EXPECT_EQ(posters_[1]->UnderWay(), (Sizes{1}));
  posters_[1]->EndOne();
  EXPECT_EQ(posters_[1]->UnderWay(), (Sizes{1}));
  posters_[0]->EndOne();
  posters_[1]->EndOne();
  auto fourth = Submit();
  EXPECT_EQ(posters_[1]->UnderWay(), (Sizes{1}));  // it was the last to be busy, so its caches are warm
}

TEST_F(SchedulerTest, WhatComesWhileABatchIsUnderWayMakesTheNext) {
  Dynamic(4);
  StartPosters(1);
  std::vector<std::future<InferResponse>> answers;
  for (int i = 0; i < 6; ++i) answers.push_back(Submit());
  EXPECT_EQ(posters_[0]->UnderWay(), (Sizes{1}));
  posters_[0]->EndOne();
  EXPECT_EQ(posters_[0]->UnderWay(), (Sizes{4}));
  posters_[0]->EndOne();
  EXPECT_EQ(posters_[0]->UnderWay(), (Sizes{1}));
}

TEST_F(SchedulerTest, TheDelayOfABatchPassesWithoutAThreadThatWaits) {
  Dynamic(4);
  setup_.batcher.delay = Millis(1);
  StartPosters(1);
  auto answer = Submit();
  posters_[0]->AwaitUnderWay(1);
  EXPECT_EQ(posters_[0]->UnderWay(), (Sizes{1}));
}

TEST_F(SchedulerTest, ARequestWhoseTimeInTheQueueIsUpIsRefusedThoughNobodyIsFree) {
  setup_.batcher.policy.timeout = std::chrono::hours(1);
  setup_.batcher.policy.allow_override = true;
  StartPosters(2);
  auto first = Submit(), second = Submit();
  posters_[0]->AwaitUnderWay(1);
  posters_[1]->AwaitUnderWay(1);
  auto late = Submit(4, [](InferRequest& request) { request.timeout_us = 1000; });
  InferResponse refused = late.get();
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->message, "Request timeout expired");
}

TEST_F(SchedulerTest, ALargeBatchIsPostedOnTheInstancesOwnThread) {
  StartPosters(1);
  auto small = Submit();
  EXPECT_EQ(posters_[0]->thread(), std::this_thread::get_id());
  auto large = Submit(5 << 20);
  posters_[0]->AwaitUnderWay(2);
  EXPECT_NE(posters_[0]->thread(), std::this_thread::get_id());
}

TEST_F(SchedulerTest, AnInstanceThatIsMendedGetsNothingUntilItIsDone) {
  StartPosters(2);
  posters_[0]->WantAttention();
  stage_.Await("attending");
  auto first = Submit(), second = Submit();
  EXPECT_EQ(posters_[0]->UnderWay(), Sizes{});
  EXPECT_EQ(posters_[1]->UnderWay(), (Sizes{1}));
  posters_[0]->Stand({});
  posters_[0]->AwaitUnderWay(1);
}

TEST_F(SchedulerTest, WhatIsQueuedIsRefusedWhenTheLastInstanceGoesOutOfService) {
  StartPosters(1);
  auto under_way = Submit(), also = Submit(), queued = Submit();
  posters_[0]->WantAttention();
  stage_.Await("attending");
  posters_[0]->Stand({std::chrono::steady_clock::now() + std::chrono::hours(1), {Code::kUnavailable, "it is broken", "broken", ""}});
  EXPECT_EQ(queued.get().error->message, "it is broken");
  EXPECT_EQ(Submit().get().error->message, "it is broken");
  posters_[0]->EndOne();
  EXPECT_FALSE(under_way.get().error);

  posters_[0]->WantAttention();
  posters_[0]->Stand({});
  posters_[0]->AwaitUnderWay(1);
  posters_[0]->EndOne();
  EXPECT_FALSE(also.get().error);
  // In service again: the last Attend may still be about to say so.
  for (;;) {
    auto answer = Submit();
    auto refused = [&answer] { return answer.wait_for(Nanos(0)) == std::future_status::ready; };
    while (!refused() && posters_[0]->UnderWay().empty()) std::this_thread::yield();
    if (refused()) continue;
    posters_[0]->EndOne();
    EXPECT_FALSE(answer.get().error);
    break;
  }
}

TEST_F(SchedulerTest, AnInstanceTriesAgainWhenItsTimeOutOfServiceIsOver) {
  StartPosters(1);
  posters_[0]->WantAttention();
  posters_[0]->Stand({std::chrono::steady_clock::now() + Millis(2), {Code::kUnavailable, "soon", "broken", ""}});
  stage_.Await("attended");
  posters_[0]->Stand({});  // which the second Attend takes
  for (;;) {
    auto answer = Submit();
    auto refused = [&answer] { return answer.wait_for(Nanos(0)) == std::future_status::ready; };
    while (!refused() && posters_[0]->UnderWay().empty()) std::this_thread::yield();
    if (refused()) continue;
    posters_[0]->EndOne();
    EXPECT_FALSE(answer.get().error);
    break;
  }
}

TEST_F(SchedulerTest, AnswersAllBeforeItStopsAndTakesNothingMore) {
  StartPosters(1);
  std::vector<std::future<InferResponse>> answers;
  for (int i = 0; i < 20; ++i) answers.push_back(Submit());
  auto stopping = std::async(std::launch::async, [this] { scheduler_->Stop(); });
  std::optional<InferResponse> refused;
  while (!refused) {
    auto more = Submit();
    if (more.wait_for(Nanos(0)) == std::future_status::ready) refused = more.get();
    else answers.push_back(std::move(more));
  }
  EXPECT_EQ(refused->error->reason, "stopping");
  while (!posters_[0]->UnderWay().empty()) posters_[0]->EndOne();
  stopping.get();
  for (auto& answer : answers) EXPECT_FALSE(answer.get().error);
  scheduler_.reset();
}

// The one thread that could take it looks the other way: it answers the only other request, which was cancelled.
TEST_F(SchedulerTest, TakesWhatComesWhileTheCancelledAreAnswered) {
  StartWorker();
  auto running = Submit();
  stage_.Await("executing");
  Cancellation cancellation;
  std::promise<std::future<InferResponse>> next;
  auto cancelled = Submit(4, [&](InferRequest& request) { request.cancellation = cancellation; }, [&] { next.set_value(Submit()); });
  cancellation.Cancel();
  stage_.Say("go on");
  EXPECT_FALSE(running.get().error);
  EXPECT_EQ(cancelled.get().error->code, Code::kCancelled);
  auto answer = next.get_future().get();
  ASSERT_EQ(answer.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_FALSE(answer.get().error);
}

// A thread that answers somebody who has left the queue looks the other way while the scheduler ends.
TEST_F(SchedulerTest, StopsWhileTheCancelledAreAnswered) {
  StartWorker();
  auto running = Submit();
  stage_.Await("executing");
  Cancellation cancellation;
  // The answer counts as given before this.
  auto cancelled = Submit(4, [&](InferRequest& request) { request.cancellation = cancellation; }, [this] { stage_.Await("stopped"); });
  cancellation.Cancel();
  stage_.Say("go on");
  EXPECT_FALSE(running.get().error);
  EXPECT_EQ(cancelled.get().error->code, Code::kCancelled);
  scheduler_->Stop();
  scheduler_.reset();
}

}  // namespace
}  // namespace nereid::models

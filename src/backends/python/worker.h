// One worker process and what goes on between it and the server.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/backend.h"
#include "backends/python/channel.h"
#include "backends/python/messages.h"
#include "backends/python/nested_calls.h"
#include "backends/python/open_requests.h"
#include "backends/python/output_rules.h"
#include "backends/python/process.h"
#include "base/clock.h"

namespace nereid::python {

class Tender;

struct WorkerSetup {
  std::string name;  // of the instance: "m_0_0"
  Command command;
  RegionSizes sizes;
  std::string region_prefix;  // seen in /proc only
  bool decoupled = false;
  std::shared_ptr<const OutputRules> rules;
  Nanos start_limit{0};      // until the process answers
  Nanos execute_limit{0};    // 0: none
  Nanos abandoned_limit{0};  // how long an execute may go on that nobody waits for any more
  BackendWorld world;
};

class Worker : public std::enable_shared_from_this<Worker> {
 public:
  // Returns when the process has answered. `tender` outlives it.
  static Result<std::shared_ptr<Worker>> Start(WorkerSetup setup, Tender& tender);

  // A call's answer: `result` reads what the worker returned, inside `message`.
  struct Answer {
    Message message;
    PackReader result{{}};
  };
  // Blocks for the answer; one call at a time. The error is what the model's code says against it, or that the worker has ended.
  Result<Answer> Ask(const PackWriter& call, Nanos limit = Nanos(0));
  // Answers the batch, except for what the model answers later.
  void Execute(ExecutionBatch batch);

  // From now on the model is asked every second whether it is ready.
  void AskWhetherReady() { asks_ready_ = true; }
  // It runs, and the model has not said that it is not ready.
  bool ready() const { return !ended() && ready_.load(std::memory_order_relaxed); }
  // The worker ended; the reason, with the stacks that it left.
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  std::string end_text() const;
  // Calls `call` once the worker has ended, on the tender's thread; at once when it has already.
  void WhenEnded(std::function<void()> call);
  // Whether it has ended by then.
  bool AwaitEnd(Nanos limit);
  // SIGKILL, also of what the worker has started; OnEnd follows. Any thread.
  void Kill(std::string why);

  // Of the tender's thread.
  int event() const { return event_.get(); }
  int pidfd() const { return process_.pidfd(); }
  void OnEvent();
  void OnEnd();
  void OnTick(SteadyTime now);

 private:
  struct Waking;

  explicit Worker(WorkerSetup setup) : setup_(std::move(setup)) {}

  Result<Answer> Await(Nanos limit);
  Result<Channel::Draft> DraftExecute(const ExecutionBatch& batch, const OpenRequests::Places& places);
  void Settle(Result<Answer> answer);

  // `mutex_` is held in these: the worker's messages are read and delivered by one thread at a time.
  void Drain();
  void Handle(const Message& message);
  void HandleResponse(PackReader& reader, const Message& message);
  void HandleLog(PackReader& reader);
  void HandleReady(PackReader& reader);

  void CheckHang(SteadyTime now);
  void CheckReady(SteadyTime now);
  Status Failed(std::string_view text, Code code = Code::kInternal) const;

  const WorkerSetup setup_;
  Descriptor event_;
  std::shared_ptr<Channel> channel_;
  Process process_;
  std::shared_ptr<NestedCalls> nested_;
  std::shared_ptr<Waking> waking_;

  std::mutex mutex_;
  std::optional<OpenRequests> open_;  // guarded by mutex_
  OpenRequests::Range executing_{};   // those of the execute under way; guarded by mutex_
  std::optional<Message> done_;       // the answer to the call under way; guarded by mutex_

  std::atomic<std::int64_t> executing_since_{0};  // steady nanoseconds; 0: no execute is under way
  std::atomic<bool> ended_{false}, ready_{true}, asks_ready_{false};
  std::atomic<std::int64_t> ready_asked_{0};             // the same; 0: no answer is awaited
  SteadyTime stacks_asked_{}, trimmed_{}, abandoned_{};  // the tender's

  mutable std::mutex end_mutex_;
  std::string kill_reason_, end_text_;  // guarded by end_mutex_
  std::function<void()> when_ended_;    // guarded by end_mutex_
};

}  // namespace nereid::python

// One worker process and what goes on between it and the server.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
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

// Who a worker works for. Any thread, one at a time.
class WorkerOwner {
 public:
  virtual ~WorkerOwner() = default;
  // A posted batch is over; its answers may still be on their way.
  virtual void OnBatchOver() = 0;
  // The process has ended. `unstarted`: the batches that it had not begun, for another worker.
  virtual void OnWorkerEnd(std::vector<ExecutionBatch> unstarted) = 0;
};

struct WorkerSetup {
  std::string name;  // of the instance: "m_0_0"
  Command command;
  std::shared_ptr<const void> environment;  // keeps the folder of the Python that runs it
  RegionSizes sizes;
  std::string region_prefix;  // seen in /proc only
  bool decoupled = false;
  std::shared_ptr<const OutputRules> rules;
  Nanos start_limit{0};      // until the process answers
  Nanos execute_limit{0};    // 0: none
  Nanos abandoned_limit{0};  // how long an execute may go on that nobody waits for any more
  BackendWorld world;
};

// Everything that comes from the process is read, and everything that goes to clients is sent, by one thread at a time: whoever was told
// first takes a turn, for those too that are told meanwhile.
class Worker : public std::enable_shared_from_this<Worker> {
 public:
  // Returns when the process has answered. `tender` outlives it.
  static Result<std::shared_ptr<Worker>> Start(WorkerSetup setup, Tender& tender);

  // A call's answer: `result` reads what the worker returned, inside `message`.
  struct Answer {
    Message message;
    PackReader result{{}};
  };
  // Blocks for the answer; not on a thread that takes turns. The error is what the model's code says against it, or that the worker has
  // ended.
  Result<Answer> Ask(const PackWriter& call, Nanos limit = Nanos(0));

  const std::string& name() const { return setup_.name; }

  // Before the first Post. When the worker has ended, `owner` is told at once.
  void SetOwner(std::shared_ptr<WorkerOwner> owner);
  // Hands over a batch, whose requests are answered as the worker does. False: the worker has ended, and `batch` is as it was, or empty
  // when it could not have been taken anyway. Any thread.
  bool Post(ExecutionBatch& batch);

  // As Channel's. Null also when the worker has ended.
  std::shared_ptr<char> Lend(std::size_t bytes) { return ended() ? nullptr : channel_->Lend(bytes); }

  // From now on the model is asked every second whether it is ready.
  void AskWhetherReady() { asks_ready_ = true; }
  // It runs, and the model has not said that it is not ready.
  bool ready() const { return !ended() && ready_.load(std::memory_order_relaxed); }
  // The process has ended; why, with the stacks that it left.
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  std::string end_text() const;
  // Whether it has ended by then.
  bool AwaitEnd(Nanos limit);
  // SIGKILL, also of what the worker has started; the end follows. Any thread.
  void Kill(std::string why);

  // Of the tender's thread.
  int event() const { return events_.front().get(); }
  int pidfd() const { return process_.pidfd(); }
  void OnEnd();
  void OnTick();
  // The event of that number was written: 0 is the tender's, the others are those of homes.
  void OnEvent(std::size_t number);

 private:
  struct Told;
  struct Waiter;

  // A call that has no answer yet. The worker takes them in their order.
  struct Call {
    std::optional<std::uint32_t> place;  // in the ring
    std::int64_t began = 0;              // when it became the first; steady nanoseconds
    std::shared_ptr<Waiter> waiter;
    OpenRequests::Range requests{};  // of an execute, which has no waiter
  };

  explicit Worker(WorkerSetup setup) : environment_(std::move(setup.environment)), setup_(std::move(setup)) {}

  Result<Nothing> MakeEvents();
  Result<Answer> Await(Waiter& waiter, Nanos limit);
  Result<Channel::Draft> DraftExecute(const ExecutionBatch& batch, const OpenRequests::Places& places);
  // False: the worker has ended. `before` runs in front of it, together with it or not at all.
  template <typename Before>
  bool PushCall(const Channel::Draft& draft, Call call, Before before);

  // Takes turns until all has been looked at.
  void Run();

  // In a turn.
  void Turn();
  void Handle(const Message& message);
  void HandleDone(PackReader& reader, const Message& message);
  void HandleResponse(PackReader& reader, const Message& message);
  void HandleWatch(PackReader& reader);
  void HandleLog(PackReader& reader);
  void HandleReady(PackReader& reader);
  void Settle(OpenRequests::Range requests, PackReader& reader, const Message& message);
  void Tick();
  void CheckHang(SteadyTime now);
  void CheckReady();
  void End();

  Status Failed(std::string_view text, Code code = Code::kInternal) const;

  std::shared_ptr<const void> environment_;  // of the setup, until the process has ended
  const WorkerSetup setup_;
  std::vector<Descriptor> events_;
  std::vector<std::shared_ptr<void>> watches_;  // of the homes, until the end
  std::shared_ptr<Channel> channel_;
  Process process_;
  std::shared_ptr<NestedCalls> nested_;
  std::shared_ptr<Told> told_;
  std::optional<OpenRequests> open_;

  std::atomic<std::int64_t> turns_{0};
  std::atomic<bool> tick_due_{false}, end_due_{false};
  std::atomic<bool> ended_{false}, ready_{true}, asks_ready_{false};
  // In turns only.
  SteadyTime stacks_asked_{}, trimmed_{}, abandoned_{};
  std::int64_t ready_asked_ = 0;  // steady nanoseconds; 0: no answer is awaited

  std::mutex calls_mutex_;
  std::deque<Call> calls_;              // guarded by calls_mutex_
  bool closed_ = false;                 // no call is taken any more; guarded by calls_mutex_
  std::shared_ptr<WorkerOwner> owner_;  // guarded by calls_mutex_

  mutable std::mutex end_mutex_;
  std::condition_variable end_wake_;
  std::string kill_reason_, end_text_;  // guarded by end_mutex_
};

}  // namespace nereid::python

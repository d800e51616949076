#include "models/scheduler/scheduler.h"

#include <pthread.h>

#include <algorithm>
#include <deque>

#include <fmt/format.h>

#include "models/validate.h"

namespace nereid::models {
namespace {

constexpr std::string_view kStopping = "Server is stopping, scheduler for model has stopped accepting new inference requests";

std::uint64_t ShapeKey(const InferRequest& request, const Scheduler::Setup& setup) {
  std::uint64_t key = 0xcbf29ce484222325;  // FNV-1a over names and shapes without the batch dim
  auto mix = [&key](std::uint64_t value) { key = (key ^ value) * 0x100000001b3; };
  for (const Tensor& tensor : request.inputs) {
    mix(std::hash<std::string>{}(tensor.name));
    if (std::find(setup.ragged.begin(), setup.ragged.end(), tensor.name) != setup.ragged.end()) continue;
    for (std::size_t i = setup.batches ? 1 : 0; i < tensor.shape.size(); ++i)
      mix(static_cast<std::uint64_t>(tensor.shape[i]) + 0x9e3779b97f4a7c15);
  }
  return key;
}

}  // namespace

// What instances, executions and the scheduler share.
struct Scheduler::Shared {
  Shared(Setup s, std::size_t instances) : setup(std::move(s)), batcher(setup.batcher), beds(instances), in_service(instances) {}

  // Where an instance waits for work.
  struct Bed {
    std::condition_variable wake;
    bool woken = false;
    bool attention = false;  // the instance wants to be attended to
    bool in_service = true;  // else until `standing.out_until`
    Standing standing;
  };

  const Setup setup;
  std::mutex mutex;
  std::condition_variable quiet;
  std::condition_variable timer;            // an earlier expiry than `timer_at`, or stopping
  SteadyTime timer_at = SteadyTime::min();  // when the timer looks next; guarded by mutex
  Batcher batcher;                          // guarded by mutex
  bool stopping = false;                    // guarded by mutex
  std::deque<Bed> beds;                     // one an instance; guarded by mutex
  std::size_t in_service;                   // of the beds; guarded by mutex
  std::vector<Bed*> idle;                   // guarded by mutex; the last to lie down is woken first: its core and caches are still warm
  std::int64_t open = 0;                    // requests without a final answer; guarded by mutex

  // preserve_ordering: answers leave in the order in which their requests came.
  struct Held {
    std::uint64_t number;
    bool ready = false;
    InferResponse response;
    std::shared_ptr<InferReceiver> receiver;
  };
  std::mutex order_mutex;
  std::deque<Held> order;         // guarded by order_mutex
  std::uint64_t next_number = 0;  // guarded by order_mutex

  // `mutex` is held.
  void WakeOne() {
    if (idle.empty()) return;
    Wake(*idle.back());
  }
  void Wake(Bed& bed) {
    std::erase(idle, &bed);
    bed.woken = true;
    bed.wake.notify_one();
  }

  void Closed(std::int64_t bytes) {
    setup.inflight->Give(bytes);
    std::lock_guard lock(mutex);
    if (--open == 0 && stopping) quiet.notify_all();
  }
};

// A request from its enqueueing to its final answer; the backend's Execution.
class Scheduler::Job final : public Execution {
 public:
  Job(std::shared_ptr<Shared> shared, InferRequest request, std::shared_ptr<InferReceiver> receiver)
      : shared_(std::move(shared)), request_(std::move(request)), receiver_(std::move(receiver)) {
    for (const Tensor& tensor : request_.inputs) bytes_ += static_cast<std::int64_t>(tensor.data.size());
    batch_size_ = shared_->setup.batches && !request_.inputs.empty() ? request_.inputs.front().shape.front() : 1;
    enqueued = shared_->setup.clock->Steady();
  }
  ~Job() override {
    if (!done_)
      Fail(Status{Code::kInternal, fmt::format("model '{}' did not answer the request", shared_->setup.model), "no_answer", ""},
           FailureReason::kBackend);
    shared_->Closed(charged ? bytes_ : 0);
  }

  const InferRequest& request() const override { return request_; }
  std::int64_t batch_size() const override { return batch_size_; }
  bool cancelled() const override { return request_.cancellation.cancelled(); }

  Pushed Send(InferResponse&& response) override {
    if (done_) return Pushed::kGone;
    bool final = response.final;
    if (response.model_name.empty()) response.model_name = shared_->setup.model;
    response.model_version = shared_->setup.version;
    response.client_id = request_.client_id;
    if (final) {
      done_ = true;
      Count(response);
    }
    if (shared_->setup.preserve_ordering) return SendInOrder(std::move(response));
    return receiver_->Push(std::move(response));
  }
  void OnRoom(std::function<void()> wake) override { receiver_->OnRoom(std::move(wake)); }

  void Fail(Status status, FailureReason reason) {
    failure_ = reason;
    InferResponse response;
    response.error = std::move(status);
    Send(std::move(response));
  }

  std::int64_t bytes() const { return bytes_; }
  void TakeNumber() {
    std::lock_guard lock(shared_->order_mutex);
    number_ = shared_->next_number++;
    shared_->order.push_back({number_, false, {}, receiver_});
  }

  SteadyTime enqueued{}, started{};
  bool charged = false;                          // its bytes count against the server's bound
  std::shared_ptr<std::atomic<bool>> execution;  // of the batch: whether it was counted
  std::int64_t execution_size = 0;

 private:
  void Count(const InferResponse& response) {
    Statistics& statistics = *shared_->setup.statistics;
    // What a backend waits for before it computes (free cores) is queueing too.
    SteadyTime computing = response.times ? std::max(started, response.times->start) : started;
    Statistics::Request request{request_.arrival == SteadyTime{} ? enqueued : request_.arrival,
                                enqueued,
                                computing,
                                shared_->setup.clock->Steady(),
                                batch_size_,
                                {}};
    request.times = response.times.value_or(ComputeTimes{started, started, request.ended, request.ended});
    if (response.error) {
      statistics.Failed(request,
                        failure_.value_or(response.error->code == Code::kCancelled ? FailureReason::kCanceled : FailureReason::kBackend));
    } else {
      statistics.Succeeded(request, shared_->setup.clock->Wall());
    }
    if (execution && !execution->exchange(true)) statistics.Executed(execution_size, request.times);
  }
  Pushed SendInOrder(InferResponse&& response) {
    std::unique_lock lock(shared_->order_mutex);
    for (auto& held : shared_->order) {
      if (held.number != number_) continue;
      held.ready = true;
      held.response = std::move(response);
      break;
    }
    while (!shared_->order.empty() && shared_->order.front().ready) {
      auto first = std::move(shared_->order.front());
      shared_->order.pop_front();
      first.receiver->Push(std::move(first.response));  // receivers do not block
    }
    return Pushed::kTaken;
  }

  const std::shared_ptr<Shared> shared_;
  InferRequest request_;
  const std::shared_ptr<InferReceiver> receiver_;
  std::int64_t bytes_ = 0, batch_size_ = 1;
  std::uint64_t number_ = 0;
  std::optional<FailureReason> failure_;
  bool done_ = false;
};

Scheduler::Scheduler(Setup setup, std::vector<std::unique_ptr<ModelInstance>> instances)
    : shared_(std::make_shared<Shared>(std::move(setup), instances.size())), instances_(std::move(instances)) {
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    instances_[i]->AttendWhen([weak = std::weak_ptr(shared_), i] {
      auto shared = weak.lock();
      if (!shared) return;
      std::lock_guard lock(shared->mutex);
      shared->beds[i].attention = true;
      shared->Wake(shared->beds[i]);
    });
  }
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    threads_.emplace_back([this, i] { RunInstance(i); });
    std::string name = fmt::format("model:{}:{}", shared_->setup.model, i).substr(0, 15);  // the kernel's limit
    ::pthread_setname_np(threads_.back().native_handle(), name.c_str());
  }
  if (shared_->setup.batcher.rejects_late()) threads_.emplace_back([this] { RunTimer(); });
}

Scheduler::~Scheduler() {
  NEREID_CHECK(threads_.empty());
}

void Scheduler::Enqueue(InferRequest request, std::shared_ptr<InferReceiver> receiver) {
  Shared& shared = *shared_;
  const std::string prefix = RequestPrefix(request);
  auto job = std::make_unique<Job>(shared_, std::move(request), std::move(receiver));
  bool room = job->charged = shared.setup.inflight->Take(job->bytes());
  {
    std::unique_lock lock(shared.mutex);
    ++shared.open;
    if (shared.stopping) {
      lock.unlock();
      job->Fail(Status{Code::kUnavailable, prefix + std::string(kStopping), "stopping", ""}, FailureReason::kRejected);
      return;
    }
    if (shared.in_service == 0) {
      Status why = shared.beds.front().standing.why;
      lock.unlock();
      job->Fail(std::move(why), FailureReason::kBackend);
      return;
    }
    std::uint64_t level = shared.batcher.LevelOf(job->request().priority);
    Nanos timeout = shared.batcher.TimeoutOf(level, job->request().timeout_us);
    SteadyTime expires = timeout > Nanos(0) ? job->enqueued + std::chrono::duration_cast<SteadyTime::duration>(timeout) : SteadyTime::max();
    Queued queued{job.get(),
                  job->batch_size(),
                  shared.setup.batcher.dynamic ? ShapeKey(job->request(), shared.setup) : 0,
                  job->enqueued,
                  std::min(expires, job->request().deadline.at()),
                  false};
    if (room && shared.batcher.Add(queued, level)) {
      if (shared.setup.preserve_ordering) job->TakeNumber();
      (void)job.release();  // the batcher's ticket owns it now
      shared.setup.statistics->AddPending(1);
      shared.WakeOne();
      if (shared.batcher.earliest() < shared.timer_at) shared.timer.notify_one();
      return;
    }
  }
  job->Fail(Status{Code::kUnavailable, prefix + "Exceeds maximum queue size", "queue_full", ""}, FailureReason::kRejected);
}

void Scheduler::Reject(Job* job) {
  std::unique_ptr<Job> owned(job);
  shared_->setup.statistics->AddPending(-1);
  if (owned->cancelled()) {
    owned->Fail(Status{Code::kCancelled, "the request was cancelled", "cancelled", ""}, FailureReason::kCanceled);
  } else if (owned->request().deadline.Passed(shared_->setup.clock->Steady())) {
    owned->Fail(Status{Code::kDeadlineExceeded, "the deadline of the request passed in the queue", "deadline", ""},
                FailureReason::kRejected);
  } else {
    owned->Fail(Status{Code::kUnavailable, "Request timeout expired", "queue_timeout", ""}, FailureReason::kRejected);
  }
}

void Scheduler::Refuse(const Status& why, std::unique_lock<std::mutex>& lock) {
  std::vector<Queued> all = shared_->batcher.TakeAll();
  lock.unlock();
  for (Queued& each : all) {
    std::unique_ptr<Job> job(static_cast<Job*>(each.ticket));
    shared_->setup.statistics->AddPending(-1);
    job->Fail(why, FailureReason::kBackend);
  }
  lock.lock();
}

void Scheduler::Attend(std::size_t index, std::unique_lock<std::mutex>& lock) {
  Shared& shared = *shared_;
  Shared::Bed& bed = shared.beds[index];
  bed.attention = false;
  if (shared.batcher.size() > 0) shared.WakeOne();  // it may have been woken for that
  lock.unlock();
  Standing standing = instances_[index]->Attend();
  lock.lock();
  bed.standing = std::move(standing);
  bool in_service = bed.standing.out_until <= shared.setup.clock->Steady();
  if (in_service == std::exchange(bed.in_service, in_service)) return;
  if (in_service) ++shared.in_service;
  else --shared.in_service;
}

void Scheduler::RunInstance(std::size_t index) {
  Shared& shared = *shared_;
  Shared::Bed& bed = shared.beds[index];
  auto woken = [&bed] { return bed.woken; };
  auto gone = [](void* ticket) { return static_cast<Job*>(ticket)->cancelled(); };
  std::unique_lock lock(shared.mutex);
  for (;;) {
    if (shared.stopping && shared.batcher.size() == 0) return;
    if (bed.attention) {
      Attend(index, lock);
      continue;
    }
    if (!bed.in_service) {
      if (shared.in_service == 0 && shared.batcher.size() > 0) {
        Refuse(Status(bed.standing.why), lock);
        continue;
      }
      bed.woken = false;
      if (!bed.wake.wait_until(lock, bed.standing.out_until, woken)) bed.attention = true;  // its time out is over
      continue;
    }
    std::vector<Queued> rejected;
    SteadyTime now = shared.setup.clock->Steady();
    Batcher::Next next = shared.batcher.Take(now, rejected, gone);
    if (!rejected.empty() || !next.batch.empty()) {
      // Another instance may have something to do with what is left.
      if (shared.batcher.size() > 0) shared.WakeOne();
      lock.unlock();
      for (Queued& each : rejected) Reject(static_cast<Job*>(each.ticket));
      if (!next.batch.empty()) {
        ExecutionBatch batch;
        auto execution = std::make_shared<std::atomic<bool>>(false);
        std::int64_t size = 0;
        for (Queued& each : next.batch) size += each.batch_size;
        for (Queued& each : next.batch) {
          auto* job = static_cast<Job*>(each.ticket);
          job->started = now;
          job->execution = execution;
          job->execution_size = size;
          batch.emplace_back(job);
        }
        shared.setup.statistics->AddPending(-static_cast<std::int64_t>(batch.size()));
        instances_[index]->Execute(std::move(batch));
      }
      lock.lock();
      continue;
    }
    bed.woken = false;
    shared.idle.push_back(&bed);
    if (next.wait == SteadyTime::max()) bed.wake.wait(lock, woken);
    else if (shared.stopping) bed.wake.wait_until(lock, std::min(next.wait, now + Millis(1)), woken);
    else bed.wake.wait_until(lock, next.wait, woken);
    if (!bed.woken) std::erase(shared.idle, &bed);
  }
}

void Scheduler::RunTimer() {
  Shared& shared = *shared_;
  std::unique_lock lock(shared.mutex);
  while (!shared.stopping) {
    shared.timer_at = shared.batcher.earliest();
    if (shared.timer_at == SteadyTime::max()) shared.timer.wait(lock);
    else shared.timer.wait_until(lock, shared.timer_at);
    std::vector<Queued> rejected;
    SteadyTime now = shared.setup.clock->Steady();
    if (now > shared.batcher.earliest()) shared.batcher.Expire(now, rejected);
    if (rejected.empty()) continue;
    lock.unlock();
    for (Queued& each : rejected) Reject(static_cast<Job*>(each.ticket));
    lock.lock();
  }
}

void Scheduler::Stop() {
  if (threads_.empty() && instances_.empty()) return;
  {
    std::unique_lock lock(shared_->mutex);
    shared_->stopping = true;
    shared_->timer.notify_one();
    while (!shared_->idle.empty()) shared_->WakeOne();
    shared_->quiet.wait(lock, [this] { return shared_->open == 0; });
    for (auto& bed : shared_->beds) shared_->Wake(bed);
  }
  for (auto& instance : instances_) instance->Stop();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  instances_.clear();
}

}  // namespace nereid::models

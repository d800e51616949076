#include "models/scheduler/state.h"

#include <algorithm>

#include "models/scheduler/job.h"

namespace nereid::models {
namespace {

// A batch whose copying would keep the thread that it comes on from its other work.
constexpr std::int64_t kLargeBytes = 4 << 20;

std::int64_t BytesOf(const ExecutionBatch& batch) {
  std::int64_t bytes = 0;
  for (const auto& execution : batch) bytes += static_cast<const Job&>(*execution).bytes();
  return bytes;
}

}  // namespace

SchedulerState::SchedulerState(SchedulerSetup s, const std::vector<std::unique_ptr<ModelInstance>>& instances)
    : setup(std::move(s)),
      posts(!instances.empty() && instances.front()->posts()),
      // The only instance of a model may have its next request at hand. With others it could wait behind a long one while they are free,
      // and a batch would be smaller than it could be.
      under_way_most(instances.size() == 1 && !setup.batcher.dynamic ? 2 : 1),
      batcher(setup.batcher),
      beds(instances.size()),
      in_service(instances.size()) {
  for (std::size_t i = 0; i < instances.size(); ++i) beds[i].instance = instances[i].get();
}

void SchedulerState::Wake(Bed& bed) {
  std::erase(idle, &bed);
  bed.woken = true;
  bed.wake.notify_one();
}

void SchedulerState::WakeOne() {
  if (!idle.empty()) Wake(*idle.back());
}

void SchedulerState::AlarmAt(SteadyTime at) {
  if (!alarm || ended || at >= alarm_at) return;
  alarm_at = at;
  alarm->Set(at);
}

void SchedulerState::OnAlarm() {
  Lock lock(mutex);
  alarm_at = SteadyTime::max();
  RejectLate(lock);
  if (posts) Dispatch(lock);
  AlarmAt(batcher.earliest());
}

ExecutionBatch SchedulerState::Take(Lock& lock, SteadyTime& wait) {
  SteadyTime now;
  Batcher::Next next;
  for (std::vector<Queued> rejected; next.batch.empty(); rejected.clear()) {
    now = setup.clock->Steady();
    next = batcher.Take(now, rejected, [](void* ticket) { return static_cast<Job*>(ticket)->cancelled(); });
    wait = next.wait;
    if (rejected.empty()) break;
    lock.unlock();
    Answer(rejected);
    lock.lock();  // and again when there is no batch: what came meanwhile found nobody idle whom to wake
  }
  ExecutionBatch batch;
  if (next.batch.empty()) return batch;
  auto count = std::make_shared<Job::BatchCount>();
  for (Queued& each : next.batch) count->size += each.batch_size;
  for (Queued& each : next.batch) {
    auto* job = static_cast<Job*>(each.ticket);
    job->Start(now, count);
    batch.emplace_back(job);
  }
  setup.statistics->AddPending(-static_cast<std::int64_t>(batch.size()));
  return batch;
}

SchedulerState::Bed* SchedulerState::BedWithRoom() {
  Bed* found = nullptr;
  for (Bed& bed : beds) {
    if (!bed.in_service || bed.attention || bed.attending || bed.under_way >= under_way_most) continue;
    if (!found || bed.under_way < found->under_way || (bed.under_way == found->under_way && bed.last_over > found->last_over)) found = &bed;
  }
  return found;
}

void SchedulerState::Dispatch(Lock& lock) {
  dispatch_again = true;
  if (dispatching) return;
  dispatching = true;
  SteadyTime wait = SteadyTime::max();
  while (std::exchange(dispatch_again, false)) wait = DispatchOnce(lock);
  dispatching = false;
  AlarmAt(wait);
}

SteadyTime SchedulerState::DispatchOnce(Lock& lock) {
  SteadyTime wait = SteadyTime::max();
  while (batcher.size() > 0) {
    Bed* bed = BedWithRoom();
    if (!bed) return SteadyTime::max();
    ++bed->under_way;  // the lock may be let go of
    ExecutionBatch batch = Take(lock, wait);
    if (batch.empty()) {
      --bed->under_way;
      if (wait != SteadyTime::max()) return wait;
    } else if (BytesOf(batch) > kLargeBytes) {
      bed->large.push_back(std::move(batch));
      Wake(*bed);
    } else {
      lock.unlock();
      bed->instance->Execute(std::move(batch));
      lock.lock();
    }
  }
  return wait;
}

void SchedulerState::Answer(const std::vector<Queued>& rejected) {
  for (const Queued& each : rejected) {
    std::unique_ptr<Job> job(static_cast<Job*>(each.ticket));
    setup.statistics->AddPending(-1);
    if (job->cancelled()) {
      job->Fail(Status{Code::kCancelled, "the request was cancelled", "cancelled", ""}, FailureReason::kCanceled);
    } else if (job->request().deadline.Passed(setup.clock->Steady())) {
      job->Fail(Status{Code::kDeadlineExceeded, "the deadline of the request passed in the queue", "deadline", ""},
                FailureReason::kRejected);
    } else {
      job->Fail(Status{Code::kUnavailable, "Request timeout expired", "queue_timeout", ""}, FailureReason::kRejected);
    }
  }
}

void SchedulerState::RefuseAll(const Status& why, Lock& lock) {
  std::vector<Queued> all = batcher.TakeAll();
  Status told = why;  // NOLINT(performance-unnecessary-copy-initialization): `why` may change meanwhile
  lock.unlock();
  for (const Queued& each : all) {
    std::unique_ptr<Job> job(static_cast<Job*>(each.ticket));
    setup.statistics->AddPending(-1);
    job->Fail(told, FailureReason::kBackend);
  }
  lock.lock();
}

void SchedulerState::RejectLate(Lock& lock) {
  SteadyTime now = setup.clock->Steady();
  if (now <= batcher.earliest()) return;
  std::vector<Queued> rejected;
  batcher.Expire(now, rejected);
  if (rejected.empty()) return;
  lock.unlock();
  Answer(rejected);
  lock.lock();
}

void SchedulerState::Closed(std::int64_t bytes) {
  setup.inflight->Give(bytes);
  std::lock_guard lock(mutex);
  if (--open == 0 && stopping) quiet.notify_all();
}

}  // namespace nereid::models

#include "models/scheduler/scheduler.h"

#include <pthread.h>

#include <algorithm>

#include <fmt/format.h>

#include "models/scheduler/job.h"
#include "models/validate.h"

namespace nereid::models {
namespace {

constexpr std::string_view kStopping = "Server is stopping, scheduler for model has stopped accepting new inference requests";

std::uint64_t ShapeKey(const InferRequest& request, const SchedulerSetup& setup) {
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

InstanceHooks HooksOf(const std::shared_ptr<SchedulerState>& shared, SchedulerState::Bed& bed) {
  InstanceHooks hooks;
  hooks.attend = [weak = std::weak_ptr(shared), &bed] {
    auto state = weak.lock();
    if (!state) return;
    std::lock_guard lock(state->mutex);
    bed.attention = true;
    state->Wake(bed);
  };
  hooks.over = [weak = std::weak_ptr(shared), &bed] {
    auto state = weak.lock();
    if (!state) return;
    SchedulerState::Lock lock(state->mutex);
    --bed.under_way;
    bed.last_over = ++state->overs;
    state->Dispatch(lock);
  };
  return hooks;
}

}  // namespace

Scheduler::Scheduler(SchedulerSetup setup, std::vector<std::unique_ptr<ModelInstance>> instances)
    : instances_(std::move(instances)), state_(std::make_shared<SchedulerState>(std::move(setup), instances_)) {
  if (state_->setup.batcher.rejects_late() || (state_->posts && state_->setup.batcher.delay > Nanos(0)))
    state_->alarm = std::make_unique<Alarm>(state_->setup.home, [state = state_.get()] { state->OnAlarm(); });
  for (Bed& bed : state_->beds) bed.instance->SetHooks(HooksOf(state_, bed));
  int number = 0;
  for (Bed& bed : state_->beds) {
    AddThread(fmt::format("model:{}:{}", state_->setup.model, number++), [this, &bed] { RunInstance(bed); });
  }
}

Scheduler::~Scheduler() {
  NEREID_CHECK(threads_.empty());
}

void Scheduler::AddThread(const std::string& name, std::function<void()> run) {
  threads_.emplace_back(std::move(run));
  ::pthread_setname_np(threads_.back().native_handle(), name.substr(0, 15).c_str());  // the kernel's limit
}

void Scheduler::Enqueue(InferRequest request, std::shared_ptr<InferReceiver> receiver) {
  SchedulerState& state = *state_;
  auto job = std::make_unique<Job>(state_, std::move(request), std::move(receiver));
  bool room = job->charged = state.setup.inflight->Take(job->bytes());
  Lock lock(state.mutex);
  ++state.open;
  auto refuse = [&](Status why, FailureReason reason) {
    lock.unlock();
    job->Fail(std::move(why), reason);
  };
  if (state.stopping)
    return refuse({Code::kUnavailable, fmt::format("{}{}", RequestPrefix{job->request()}, kStopping), "stopping", ""},
                  FailureReason::kRejected);
  if (state.in_service == 0) return refuse(state.beds.front().standing.why, FailureReason::kBackend);
  std::uint64_t level = state.batcher.LevelOf(job->request().priority);
  Nanos timeout = state.batcher.TimeoutOf(level, job->request().timeout_us);
  SteadyTime expires = timeout > Nanos(0) ? job->enqueued() + std::chrono::duration_cast<SteadyTime::duration>(timeout) : SteadyTime::max();
  Queued queued{job.get(),
                job->batch_size(),
                state.setup.batcher.dynamic ? ShapeKey(job->request(), state.setup) : 0,
                job->enqueued(),
                std::min(expires, job->request().deadline.at()),
                false};
  if (!room || !state.batcher.Add(queued, level))
    return refuse({Code::kUnavailable, fmt::format("{}Exceeds maximum queue size", RequestPrefix{job->request()}), "queue_full", ""},
                  FailureReason::kRejected);
  if (state.setup.preserve_ordering) job->TakeNumber();
  (void)job.release();  // the batcher's ticket owns it now
  state.setup.statistics->AddPending(1);
  if (state.posts) state.Dispatch(lock);
  else state.WakeOne();
  state.AlarmAt(state.batcher.earliest());
}

// ---------------------------------------------------------------- the threads of instances

void Scheduler::RunInstance(Bed& bed) {
  SchedulerState& state = *state_;
  Lock lock(state.mutex);
  for (;;) {
    if (!bed.large.empty()) PostLarge(bed, lock);
    else if (state.ended) return;
    else if (bed.attention) Attend(bed, lock);
    else if (!bed.in_service) WaitOutOfService(bed, lock);
    else if (!state.posts) TakeAndExecute(bed, lock);
    else bed.wake.wait(lock, [&bed] { return std::exchange(bed.woken, false); });
  }
}

void Scheduler::TakeAndExecute(Bed& bed, Lock& lock) {
  SchedulerState& state = *state_;
  bed.woken = false;  // before Take, which may let go of the lock
  SteadyTime wait = SteadyTime::max();
  ExecutionBatch batch = state.Take(lock, wait);
  if (!batch.empty()) {
    if (state.batcher.size() > 0) state.WakeOne();  // another instance may have something to do with what is left
    lock.unlock();
    bed.instance->Execute(std::move(batch));
    lock.lock();
    return;
  }
  state.idle.push_back(&bed);
  auto woken = [&bed] { return bed.woken; };
  if (wait == SteadyTime::max()) bed.wake.wait(lock, woken);
  else if (state.stopping) bed.wake.wait_until(lock, std::min(wait, state.setup.clock->Steady() + Millis(1)), woken);
  else bed.wake.wait_until(lock, wait, woken);
  if (!bed.woken) std::erase(state.idle, &bed);
}

void Scheduler::PostLarge(Bed& bed, Lock& lock) {
  ExecutionBatch batch = std::move(bed.large.front());
  bed.large.pop_front();
  lock.unlock();
  bed.instance->Execute(std::move(batch));
  lock.lock();
}

void Scheduler::Attend(Bed& bed, Lock& lock) {
  SchedulerState& state = *state_;
  bed.attention = false;
  bed.attending = true;
  if (state.batcher.size() > 0) state.WakeOne();  // it may have been woken for that
  lock.unlock();
  Standing standing = bed.instance->Attend();
  lock.lock();
  bed.attending = false;
  bed.standing = std::move(standing);
  bool in_service = bed.standing.out_until <= state.setup.clock->Steady();
  if (in_service != std::exchange(bed.in_service, in_service)) {
    if (in_service) ++state.in_service;
    else --state.in_service;
  }
  if (state.posts) state.Dispatch(lock);
}

void Scheduler::WaitOutOfService(Bed& bed, Lock& lock) {
  SchedulerState& state = *state_;
  if (state.in_service == 0 && state.batcher.size() > 0) return state.RefuseAll(bed.standing.why, lock);
  bed.woken = false;
  // When its time out is over, it may try again.
  if (!bed.wake.wait_until(lock, bed.standing.out_until, [&bed] { return bed.woken; })) bed.attention = true;
}

void Scheduler::Stop() {
  if (threads_.empty() && instances_.empty()) return;
  std::unique_ptr<Alarm> alarm;
  {
    Lock lock(state_->mutex);
    state_->stopping = true;
    while (!state_->idle.empty()) state_->WakeOne();
    state_->quiet.wait(lock, [this] { return state_->open == 0; });
    state_->ended = true;
    alarm = std::move(state_->alarm);  // it may ring until it is gone, and then finds nothing to set
    for (Bed& bed : state_->beds) state_->Wake(bed);
  }
  for (auto& instance : instances_) instance->Stop();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  alarm.reset();
  instances_.clear();
}

}  // namespace nereid::models

#include "backends/python/instance.h"

#include <fmt/format.h>

#include "base/log.h"

namespace nereid::python {

bool WorkerSlot::ready() const {
  std::lock_guard lock(mutex_);
  return initialized_ && worker_->ready();
}

std::shared_ptr<Worker> WorkerSlot::running() const {
  std::lock_guard lock(mutex_);
  return initialized_ && !worker_->ended() ? worker_ : nullptr;
}

void WorkerSlot::OnBatchOver() {
  std::function<void()> over;
  {
    std::lock_guard lock(mutex_);
    over = hooks_.over;
  }
  if (over) over();
}

void WorkerSlot::OnWorkerEnd(std::vector<ExecutionBatch> unstarted) {
  std::function<void()> attend;
  {
    std::lock_guard lock(mutex_);
    for (ExecutionBatch& batch : unstarted) stranded_.push_back(std::move(batch));
    attend = hooks_.attend;
  }
  if (attend) attend();
}

Result<std::unique_ptr<Instance>> Instance::Create(Setup setup, std::shared_ptr<Worker> worker) {
  std::unique_ptr<Instance> self(new Instance(std::move(setup)));
  if (!worker) {
    TRY(worker, Worker::Start(self->setup_.worker, *self->setup_.tender));
  }
  SteadyTime began = std::chrono::steady_clock::now();
  TRY_DO(self->Initialize(std::move(worker), Nanos(0)));
  self->first_start_ = std::chrono::steady_clock::now() - began;
  return self;
}

Result<Nothing> Instance::Initialize(std::shared_ptr<Worker> worker, Nanos limit) {
  WorkerSlot& slot = *setup_.slot;
  {
    std::lock_guard lock(slot.mutex_);
    if (slot.stopping_) {
      worker->Kill("the model is unloaded");
      return Error(Code::kUnavailable, "the model is unloaded", "stopping");
    }
    slot.worker_ = worker;
  }
  auto answer = worker->Ask(setup_.initialize, limit);
  if (!answer) {
    worker->Kill("its model could not be initialized");
    return std::unexpected(std::move(answer).error());
  }
  if (answer->result.Bool()) worker->AskWhetherReady();
  worker->SetOwner(setup_.slot);  // before anybody may post to it
  {
    std::lock_guard lock(slot.mutex_);
    slot.initialized_ = true;
  }
  return Nothing{};
}

Instance::~Instance() {
  std::shared_ptr<Worker> worker = setup_.slot->running();
  if (!worker) return;
  PackWriter finalize;
  finalize.Array(1).Int(static_cast<std::int64_t>(CallKind::kFinalize));
  SteadyTime until = std::chrono::steady_clock::now() + std::chrono::duration_cast<SteadyTime::duration>(setup_.stub_limit);
  if (auto answer = worker->Ask(finalize, setup_.stub_limit); !answer)
    LOG_ERROR("'{}': finalize() failed: {}", setup_.worker.name, answer.error().message);
  if (!worker->AwaitEnd(until - std::chrono::steady_clock::now())) worker->Kill("the model is unloaded");
}

void Instance::Execute(ExecutionBatch batch) {
  std::shared_ptr<Worker> worker = setup_.slot->running();
  if (worker && worker->Post(batch)) return;
  if (batch.empty()) return setup_.slot->OnBatchOver();  // it is answered
  std::vector<ExecutionBatch> unstarted;
  unstarted.push_back(std::move(batch));
  setup_.slot->OnWorkerEnd(std::move(unstarted));
}

void Instance::SetHooks(InstanceHooks hooks) {
  std::function<void()> attend = hooks.attend;
  {
    std::lock_guard lock(setup_.slot->mutex_);
    setup_.slot->hooks_ = std::move(hooks);
  }
  if (!setup_.slot->running()) attend();
}

Standing Instance::Attend() {
  Standing standing = setup_.slot->running() ? Standing{} : Restart();
  std::vector<ExecutionBatch> stranded;
  {
    std::lock_guard lock(setup_.slot->mutex_);
    stranded.swap(setup_.slot->stranded_);
  }
  for (ExecutionBatch& batch : stranded) {
    if (standing.out_until == SteadyTime{}) {
      Execute(std::move(batch));
      continue;
    }
    for (auto& execution : batch) {
      InferResponse response;
      response.error = standing.why;
      execution->Send(std::move(response));
    }
    batch.clear();
    setup_.slot->OnBatchOver();
  }
  return standing;
}

Standing Instance::OutOfService() const {
  return {policy_.next_start(),
          Status{Code::kUnavailable, fmt::format("Model instance '{}' is not healthy: {}", setup_.worker.name, down_because_),
                 "worker_down", ""}};
}

Standing Instance::Restart() {
  WorkerSlot& slot = *setup_.slot;
  std::shared_ptr<Worker> died;
  {
    std::lock_guard lock(slot.mutex_);
    if (std::exchange(slot.initialized_, false)) died = slot.worker_;
  }
  SteadyTime now = std::chrono::steady_clock::now();
  if (died) {
    down_because_ = died->end_text();
    LOG_ERROR("{}", down_because_);
    policy_.Died(now);
  }
  if (now < policy_.next_start()) return OutOfService();
  auto worker = Worker::Start(setup_.worker, *setup_.tender);
  // Requests wait for it, so it may not hang.
  Nanos limit = std::max(setup_.stub_limit, 10 * first_start_);
  Result<Nothing> started = worker ? Initialize(*std::move(worker), limit) : std::unexpected(std::move(worker).error());
  SteadyTime later = std::chrono::steady_clock::now();
  if (started) {
    LOG_INFO("the worker of '{}' is there again after {} ms", setup_.worker.name, std::chrono::duration_cast<Millis>(later - now).count());
    return {};
  }
  down_because_ = started.error().message;
  policy_.StartFailed(later);
  LOG_ERROR("the worker of '{}' does not start, the next try is in {:.0f} s: {}", setup_.worker.name,
            std::chrono::duration<double>(policy_.next_start() - later).count(), down_because_);
  return OutOfService();
}

void Instance::Stop() {
  std::shared_ptr<Worker> starting;
  {
    std::lock_guard lock(setup_.slot->mutex_);
    setup_.slot->stopping_ = true;
    if (!setup_.slot->initialized_) starting = setup_.slot->worker_;
  }
  if (starting) starting->Kill("the model is unloaded");
}

}  // namespace nereid::python

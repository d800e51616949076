#include "backends/python/instance.h"

#include <fmt/format.h>

#include "base/log.h"

namespace nereid::python {

bool WorkerSlot::ready() const {
  std::lock_guard lock(mutex_);
  return initialized_ && worker_->ready();
}

std::shared_ptr<Worker> WorkerSlot::worker() const {
  std::lock_guard lock(mutex_);
  return worker_;
}

Result<std::unique_ptr<Instance>> Instance::Create(Setup setup, std::shared_ptr<Worker> worker) {
  std::unique_ptr<Instance> self(new Instance(std::move(setup)));
  if (!worker) {
    TRY(worker, Worker::Start(self->setup_.worker, *self->setup_.tender));
  }
  TRY_DO(self->Initialize(std::move(worker)));
  return self;
}

Result<Nothing> Instance::Initialize(std::shared_ptr<Worker> worker) {
  WorkerSlot& slot = *setup_.slot;
  {
    std::lock_guard lock(slot.mutex_);
    if (slot.stopping_) {
      worker->Kill("the model is unloaded");
      return Error(Code::kUnavailable, "the model is unloaded", "stopping");
    }
    slot.worker_ = worker;
  }
  auto answer = worker->Ask(setup_.initialize);
  if (!answer) {
    worker->Kill("its model could not be initialized");
    return std::unexpected(std::move(answer).error());
  }
  if (answer->result.Bool()) worker->AskWhetherReady();
  {
    std::lock_guard lock(slot.mutex_);
    slot.initialized_ = true;
  }
  worker->WhenEnded([slot = setup_.slot] {
    std::function<void()> alarm;
    {
      std::lock_guard lock(slot->mutex_);
      alarm = slot->alarm_;
    }
    if (alarm) alarm();
  });
  return Nothing{};
}

Instance::~Instance() {
  std::shared_ptr<Worker> worker = setup_.slot->worker();
  if (!worker || worker->ended()) return;
  PackWriter finalize;
  finalize.Array(1).Int(static_cast<std::int64_t>(Call::kFinalize));
  SteadyTime until = std::chrono::steady_clock::now() + std::chrono::duration_cast<SteadyTime::duration>(setup_.finalize_limit);
  if (auto answer = worker->Ask(finalize, setup_.finalize_limit); !answer)
    LOG_ERROR("'{}': finalize() failed: {}", setup_.worker.name, answer.error().message);
  if (!worker->AwaitEnd(until - std::chrono::steady_clock::now())) worker->Kill("the model is unloaded");
}

bool Instance::Runs() const {
  std::lock_guard lock(setup_.slot->mutex_);
  return setup_.slot->initialized_ && !setup_.slot->worker_->ended();
}

void Instance::Execute(ExecutionBatch batch) {
  Standing standing = Runs() ? Standing{} : Attend();
  if (Runs()) return setup_.slot->worker()->Execute(std::move(batch));
  for (auto& execution : batch) {
    InferResponse response;
    response.error = standing.why;
    execution->Send(std::move(response));
  }
}

void Instance::AttendWhen(std::function<void()> call) {
  {
    std::lock_guard lock(setup_.slot->mutex_);
    setup_.slot->alarm_ = call;
  }
  if (!Runs()) call();
}

Standing Instance::OutOfService() const {
  return {policy_.next_start(),
          Status{Code::kUnavailable, fmt::format("Model instance '{}' is not healthy: {}", setup_.worker.name, down_because_),
                 "worker_down", ""}};
}

Standing Instance::Attend() {
  if (Runs()) return {};
  WorkerSlot& slot = *setup_.slot;
  bool died;
  {
    std::lock_guard lock(slot.mutex_);
    died = std::exchange(slot.initialized_, false);
  }
  if (died) {
    down_because_ = slot.worker()->end_text();
    LOG_ERROR("{}", down_because_);
    policy_.Died(std::chrono::steady_clock::now());
  }
  if (std::chrono::steady_clock::now() < policy_.next_start()) return OutOfService();
  SteadyTime began = std::chrono::steady_clock::now();
  auto worker = Worker::Start(setup_.worker, *setup_.tender);
  Result<Nothing> started = worker ? Initialize(*std::move(worker)) : std::unexpected(std::move(worker).error());
  SteadyTime now = std::chrono::steady_clock::now();
  if (started) {
    LOG_INFO("the worker of '{}' is there again after {} ms", setup_.worker.name, std::chrono::duration_cast<Millis>(now - began).count());
    return {};
  }
  down_because_ = started.error().message;
  policy_.StartFailed(now);
  LOG_ERROR("the worker of '{}' does not start, the next try is in {:.0f} s: {}", setup_.worker.name,
            std::chrono::duration<double>(policy_.next_start() - now).count(), down_because_);
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

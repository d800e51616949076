// Runs a version: the queue, and instances that take batches out of it, each on a thread of its own or, when it posts, on the thread that
// has the batch.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "api/backend.h"
#include "models/scheduler/state.h"

namespace nereid::models {

class Scheduler {
 public:
  Scheduler(SchedulerSetup setup, std::vector<std::unique_ptr<ModelInstance>> instances);
  // Stop must have been called.
  ~Scheduler();

  // Takes a checked request. A refusal comes to the receiver.
  void Enqueue(InferRequest request, std::shared_ptr<InferReceiver> receiver);

  // Refuses what comes from now on, executes what is queued, waits for every answer, ends the threads. Not from an instance's thread.
  void Stop();

 private:
  using Lock = SchedulerState::Lock;
  using Bed = SchedulerState::Bed;

  void AddThread(const std::string& name, std::function<void()> run);
  void RunInstance(Bed& bed);
  // Waits for work and does it; `lock` holds the mutex, and again at the end.
  void TakeAndExecute(Bed& bed, Lock& lock);
  void PostLarge(Bed& bed, Lock& lock);
  // Lets the instance mend itself.
  void Attend(Bed& bed, Lock& lock);
  void WaitOutOfService(Bed& bed, Lock& lock);

  std::vector<std::unique_ptr<ModelInstance>> instances_;
  std::shared_ptr<SchedulerState> state_;
  std::vector<std::thread> threads_;
};

}  // namespace nereid::models

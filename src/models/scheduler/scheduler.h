// Runs a version: the queue, and one thread for each instance that takes batches out of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/backend.h"
#include "models/scheduler/batcher.h"
#include "models/statistics.h"

namespace nereid::models {

// Bytes that all queued and executing requests of the server may hold. Any thread.
class InflightBytes {
 public:
  explicit InflightBytes(std::uint64_t most) : most_(static_cast<std::int64_t>(most)) {}
  bool Take(std::int64_t bytes) {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= most_) return true;
    Give(bytes);
    return false;
  }
  void Give(std::int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  const std::int64_t most_;
  std::atomic<std::int64_t> used_{0};
};

class Scheduler {
 public:
  struct Setup {
    std::string model;
    std::int64_t version = 1;
    BatcherConfig batcher;
    bool batches = false;  // the config has max_batch_size > 0
    bool decoupled = false;
    bool preserve_ordering = false;
    std::vector<std::string> ragged;  // inputs whose shapes may differ within a batch
    InflightBytes* inflight = nullptr;
    const Clock* clock = nullptr;
    std::shared_ptr<Statistics> statistics;
  };
  Scheduler(Setup setup, std::vector<std::unique_ptr<ModelInstance>> instances);
  // Stop must have been called.
  ~Scheduler();

  // Takes a checked request. A refusal comes to the receiver.
  void Enqueue(InferRequest request, std::shared_ptr<InferReceiver> receiver);

  // Refuses what comes from now on, executes what is queued, waits for every answer, ends the threads. Not from an instance's thread.
  void Stop();

 private:
  class Job;
  struct Shared;
  void RunInstance(std::size_t index);
  // Lets the instance mend itself. `lock` holds the mutex, and again at the end.
  void Attend(std::size_t index, std::unique_lock<std::mutex>& lock);
  // Answers all that is queued with `why`.
  void Refuse(const Status& why, std::unique_lock<std::mutex>& lock);
  // Rejects what is late while all instances are busy.
  void RunTimer();
  void Reject(Job* job);

  std::shared_ptr<Shared> shared_;  // outlives the scheduler while executions do
  std::vector<std::unique_ptr<ModelInstance>> instances_;
  std::vector<std::thread> threads_;
};

}  // namespace nereid::models

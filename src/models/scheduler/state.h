// What a version's jobs, instances and threads share: the queue, and who is free to take from it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/backend.h"
#include "models/scheduler/alarm.h"
#include "models/scheduler/batcher.h"
#include "models/reshape.h"
#include "models/scheduler/in_order.h"
#include "models/statistics.h"

namespace nereid::models {

class Job;

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

struct SchedulerSetup {
  std::string model;
  std::int64_t version = 1;
  BatcherConfig batcher;
  bool batches = false;  // the config has max_batch_size > 0
  bool decoupled = false;
  bool preserve_ordering = false;
  std::vector<std::string> ragged;  // inputs whose shapes may differ within a batch
  InflightBytes* inflight = nullptr;
  const Clock* clock = nullptr;
  Home* home = nullptr;  // whose thread does what time makes due; null: a thread of the scheduler's
  std::shared_ptr<Statistics> statistics;
  std::shared_ptr<const Reshapes> reshapes;
};

// Outlives the scheduler while executions do.
struct SchedulerState {
  using Lock = std::unique_lock<std::mutex>;

  // `instances` outlive all use of the queue.
  SchedulerState(SchedulerSetup setup, const std::vector<std::unique_ptr<ModelInstance>>& instances);

  // An instance's place: where its thread waits, and how much it has to do.
  struct Bed {
    ModelInstance* instance = nullptr;
    std::condition_variable wake;
    bool woken = false;
    bool attention = false;  // the instance wants to be attended to
    bool attending = false;  // and is
    bool in_service = true;  // else until `standing.out_until`
    Standing standing;
    int under_way = 0;                 // batches of an instance that posts
    std::uint64_t last_over = 0;       // when it became free, as a number that grows: the last is still warm
    std::deque<ExecutionBatch> large;  // for its own thread to post
  };

  const SchedulerSetup setup;
  const bool posts;          // the instances do
  const int under_way_most;  // of an instance that posts
  InOrder in_order;

  std::mutex mutex;
  Batcher batcher;         // guarded by mutex, as all that follows
  std::deque<Bed> beds;    // one an instance
  std::size_t in_service;  // of the beds
  std::vector<Bed*> idle;  // whose threads wait for work; the last to lie down is woken first: its caches are still warm
  std::uint64_t overs = 0;
  bool dispatching = false, dispatch_again = false;
  std::unique_ptr<Alarm> alarm;             // where time alone can make something due
  SteadyTime alarm_at = SteadyTime::max();  // what it is set to
  std::condition_variable quiet;
  bool stopping = false;  // nothing more is taken
  bool ended = false;     // and all is answered
  std::int64_t open = 0;  // requests without a final answer

  // The mutex is held in these, by `lock` where that is given, which they let go of meanwhile.

  void Wake(Bed& bed);
  void WakeOne();
  // The next batch, as executions; empty when there is none now, `wait` is then when to ask again. Requests that are late are answered.
  ExecutionBatch Take(Lock& lock, SteadyTime& wait);
  // Gives instances that post what they can take; the alarm is set where time is to pass first. One thread does it at a time, also for
  // those that come meanwhile: an instance may be done with a batch before Execute returns.
  void Dispatch(Lock& lock);
  // The alarm rings at `at` at the latest.
  void AlarmAt(SteadyTime at);
  // The alarm has rung: delays of batches are over, or requests have waited too long. The mutex is not held.
  void OnAlarm();
  // Answers all that is queued with `why`.
  void RefuseAll(const Status& why, Lock& lock);

  // Of a job that ends. The mutex is not held.
  void Closed(std::int64_t bytes);

 private:
  Bed* BedWithRoom();
  SteadyTime DispatchOnce(Lock& lock);
  void RejectLate(Lock& lock);
  void Answer(const std::vector<Queued>& rejected);
};

}  // namespace nereid::models

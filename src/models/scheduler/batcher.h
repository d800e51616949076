// Which queued requests make the next batch, and when. Decides only: no threads, no clock of its own.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "api/infer.h"
#include "base/clock.h"
#include "proto/model_config.pb.h"

namespace nereid::models {

struct QueuePolicy {
  bool delay_on_timeout = false;     // else reject
  Nanos timeout{0};                  // 0: none
  bool allow_override = false;       // a request may lower the timeout
  std::uint32_t queue_size_max = 0;  // 0: unlimited
};

struct BatcherConfig {
  std::int64_t batch_size_max = 1;      // of one execution
  bool dynamic = false;                 // else one request a batch
  std::vector<std::int64_t> preferred;  // ascending
  Nanos delay{0};
  std::uint64_t levels = 1, default_level = 1;
  QueuePolicy policy;
  std::map<std::uint64_t, QueuePolicy> level_policies;

  static BatcherConfig Of(const inference::ModelConfig& config);
  // Some queue rejects what has waited too long.
  bool rejects_late() const;
};

// What the batcher knows of a request. The owner keeps the rest behind `ticket`.
struct Queued {
  void* ticket = nullptr;
  std::int64_t batch_size = 1;
  std::uint64_t shape_key = 0;  // requests of different keys never share a batch
  SteadyTime enqueued{};
  SteadyTime expires = SteadyTime::max();  // queue timeout or the request's deadline
  bool delayed = false;                    // its timeout passed under DELAY
};

class Batcher {
 public:
  explicit Batcher(BatcherConfig config) : config_(std::move(config)), levels_(config_.levels) {}

  // The level a request goes to: 1 is the highest; 0 and too large mean the default.
  std::uint64_t LevelOf(std::uint64_t priority) const;
  // False: the level's queue is full.
  bool Add(Queued request, std::uint64_t level);
  // The queue timeout of a request: the model's, or the request's own where that is allowed and lower.
  Nanos TimeoutOf(std::uint64_t level, std::uint64_t request_timeout_us) const;

  struct Next {
    std::vector<Queued> batch;            // to execute now
    SteadyTime wait = SteadyTime::max();  // when the batch is empty: ask again then
  };
  // `rejected` gets the requests whose time in the queue is up, and those that `gone(ticket)` says nobody waits for any more.
  template <class Gone>
  Next Take(SteadyTime now, std::vector<Queued>& rejected, Gone gone) {
    for (;;) {
      if (now > earliest_) Expire(now, rejected);
      Next next = Decide(now);
      std::erase_if(next.batch, [&](Queued& each) {
        if (!gone(each.ticket)) return false;
        rejected.push_back(each);
        return true;
      });
      if (!next.batch.empty() || next.wait != SteadyTime::max() || size_ == 0) return next;
    }
  }

  // Only what of Take rejects: for when no instance is free to ask.
  void Expire(SteadyTime now, std::vector<Queued>& rejected);
  // No queued request expires before.
  SteadyTime earliest() const { return earliest_; }

  std::size_t size() const { return size_; }
  // All that is left, for a scheduler that stops.
  std::vector<Queued> TakeAll();

 private:
  Next Decide(SteadyTime now);
  const QueuePolicy& PolicyOf(std::uint64_t level) const;

  const BatcherConfig config_;
  std::vector<std::deque<Queued>> levels_;
  std::size_t size_ = 0;
  SteadyTime earliest_ = SteadyTime::max();  // no queued request expires before: looking through the queue can wait until then
};

}  // namespace nereid::models

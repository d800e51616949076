#include "models/scheduler/batcher.h"

#include <algorithm>

namespace nereid::models {
namespace {

QueuePolicy PolicyFrom(const inference::ModelQueuePolicy& policy) {
  return {policy.timeout_action() == inference::ModelQueuePolicy::DELAY, Micros(policy.default_timeout_microseconds()),
          policy.allow_timeout_override(), policy.max_queue_size()};
}

}  // namespace

BatcherConfig BatcherConfig::Of(const inference::ModelConfig& config) {
  BatcherConfig out;
  out.batch_size_max = std::max(1, config.max_batch_size());
  if (!config.has_dynamic_batching()) return out;
  const auto& batching = config.dynamic_batching();
  out.dynamic = config.max_batch_size() > 0;
  out.preferred.assign(batching.preferred_batch_size().begin(), batching.preferred_batch_size().end());
  std::sort(out.preferred.begin(), out.preferred.end());
  out.delay = Micros(batching.max_queue_delay_microseconds());
  out.levels = std::max<std::uint64_t>(1, batching.priority_levels());
  out.default_level = std::max<std::uint64_t>(1, batching.default_priority_level());
  out.policy = PolicyFrom(batching.default_queue_policy());
  for (const auto& [level, policy] : batching.priority_queue_policy()) out.level_policies[level] = PolicyFrom(policy);
  return out;
}

bool BatcherConfig::rejects_late() const {
  auto rejects = [](const QueuePolicy& each) { return each.timeout > Nanos(0) && !each.delay_on_timeout; };
  return rejects(policy) || std::ranges::any_of(level_policies, [&](const auto& level) { return rejects(level.second); });
}

std::uint64_t Batcher::LevelOf(std::uint64_t priority) const {
  return priority == 0 || priority > config_.levels ? config_.default_level : priority;
}

const QueuePolicy& Batcher::PolicyOf(std::uint64_t level) const {
  auto own = config_.level_policies.find(level);
  return own == config_.level_policies.end() ? config_.policy : own->second;
}

Nanos Batcher::TimeoutOf(std::uint64_t level, std::uint64_t request_timeout_us) const {
  const QueuePolicy& policy = PolicyOf(level);
  Nanos own = Micros(request_timeout_us);
  return policy.allow_override && own > Nanos(0) && own < policy.timeout ? own : policy.timeout;
}

bool Batcher::Add(Queued request, std::uint64_t level) {
  auto& queue = levels_[level - 1];
  std::uint32_t most = PolicyOf(level).queue_size_max;
  if (most > 0 && queue.size() >= most) return false;
  earliest_ = std::min(earliest_, request.expires);
  if (queue.empty() || !queue.back().delayed) {
    queue.push_back(request);
  } else {  // before those that were put back
    auto place = std::find_if(queue.begin(), queue.end(), [](const Queued& each) { return each.delayed; });
    queue.insert(place, request);
  }
  ++size_;
  return true;
}

void Batcher::Expire(SteadyTime now, std::vector<Queued>& rejected) {
  earliest_ = SteadyTime::max();
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    auto& queue = levels_[level];
    bool delays = PolicyOf(level + 1).delay_on_timeout;
    std::vector<Queued> late;
    std::erase_if(queue, [&](Queued& each) {
      if (each.delayed) return false;
      if (now <= each.expires) {
        earliest_ = std::min(earliest_, each.expires);
        return false;
      }
      late.push_back(each);
      return true;
    });
    for (Queued& each : late) {
      if (delays) {
        each.delayed = true;
        queue.push_back(each);  // behind all of its level that are in time
      } else {
        --size_;
        rejected.push_back(each);
      }
    }
  }
}

Batcher::Next Batcher::Decide(SteadyTime now) {
  Next next;
  // The batch grows along the queue, higher levels first, until something does not fit any more.
  struct Place {
    std::size_t level, count;
  };
  std::vector<Place> places;  // how many of each level's front are in
  std::int64_t size = 0;
  std::size_t count = 0, preferred_count = 0;
  std::uint64_t key = 0;
  bool full = false;
  SteadyTime oldest = SteadyTime::max(), closest = SteadyTime::max();
  for (std::size_t level = 0; level < levels_.size() && !full; ++level) {
    places.push_back({level, 0});
    for (const Queued& each : levels_[level]) {
      if (count > 0 && (!config_.dynamic || size + each.batch_size > config_.batch_size_max || each.shape_key != key)) {
        full = true;
        break;
      }
      key = each.shape_key;
      size += each.batch_size;
      ++count;
      ++places.back().count;
      oldest = std::min(oldest, each.enqueued);
      if (!each.delayed) closest = std::min(closest, each.expires);
      if (std::binary_search(config_.preferred.begin(), config_.preferred.end(), size)) {
        preferred_count = count;
      }
      if (!config_.dynamic) {
        full = true;
        break;
      }
    }
  }
  if (count == 0) return next;
  bool waited = config_.delay == Nanos(0) || now - oldest >= config_.delay;
  std::size_t take = count;
  if (!waited) {
    if (preferred_count > 0) {
      take = preferred_count;
    } else if (!full && size < config_.batch_size_max && (config_.preferred.empty() || size < config_.preferred.back())) {
      next.wait = std::min(oldest + std::chrono::duration_cast<SteadyTime::duration>(config_.delay), closest);
      return next;
    }
  }
  for (const Place& place : places) {
    auto& queue = levels_[place.level];
    for (std::size_t i = 0; i < place.count && take > 0; ++i, --take) {
      next.batch.push_back(queue.front());
      queue.pop_front();
      --size_;
    }
  }
  return next;
}

std::vector<Queued> Batcher::TakeAll() {
  std::vector<Queued> all;
  for (auto& queue : levels_) {
    for (Queued& each : queue) all.push_back(each);
    queue.clear();
  }
  size_ = 0;
  return all;
}

}  // namespace nereid::models

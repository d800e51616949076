// Shares the cores among native compute calls (an ONNX Run, a llama_decode), so that two of them do not fight over caches and barriers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

namespace nereid {

enum class ComputePriority : std::uint8_t { kHigh, kNormal, kLow };

// Tokens = cores. Held only around the compute call itself, never while waiting for a worker, another model, a lock or a socket.
//
// It saves short calls from each other; it is no gate. A call that runs for seconds would else stand before all other models, so whoever
// has waited for `patience` goes on with more tokens out than there are cores, and the kernel shares these.
class ComputeArbiter {
 public:
  // Several usual runs, and less than a person or a queue's timeout notices.
  static constexpr std::chrono::milliseconds kPatience{20};

  explicit ComputeArbiter(int tokens, std::chrono::milliseconds patience = kPatience);

  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept : arbiter_(std::exchange(other.arbiter_, nullptr)), tokens_(other.tokens_) {}
    Hold& operator=(Hold&& other) noexcept;
    ~Hold() { Release(); }
    void Release();

   private:
    friend class ComputeArbiter;
    Hold(ComputeArbiter* arbiter, int tokens) : arbiter_(arbiter), tokens_(tokens) {}
    ComputeArbiter* arbiter_ = nullptr;
    int tokens_ = 0;
  };

  // Blocks until `tokens` (clamped to all of them) are free and nobody of a higher priority, or earlier of the same, waits; at most for
  // the patience.
  [[nodiscard]] Hold Acquire(int tokens, ComputePriority priority = ComputePriority::kNormal);
  // Without waiting: nothing when they are not free, or somebody waits.
  [[nodiscard]] std::optional<Hold> TryAcquire(int tokens);
  int tokens() const { return total_; }

 private:
  struct Waiter {
    int tokens;
    std::condition_variable wake;
    bool granted = false;
  };
  void Grant();  // mutex_ held

  const int total_;
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;
  int free_;                       // guarded by mutex_; below 0 while somebody's patience was at an end
  std::list<Waiter*> waiting_[3];  // guarded by mutex_; one list a priority, first come first
};

}  // namespace nereid

// Shares the cores among native compute calls (an ONNX Run, a llama_decode), so that two of them do not fight over caches and barriers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

namespace nereid {

enum class ComputePriority : std::uint8_t { kHigh, kNormal, kLow };

// Tokens = cores. Held only around the compute call itself, never while waiting for a worker, another model, a lock or a socket.
class ComputeArbiter {
 public:
  explicit ComputeArbiter(int tokens);

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

  // Blocks until `tokens` (clamped to all of them) are free and nobody of a higher priority, or earlier of the same, waits.
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
  std::mutex mutex_;
  int free_;                       // guarded by mutex_
  std::list<Waiter*> waiting_[3];  // guarded by mutex_; one list a priority, first come first
};

}  // namespace nereid

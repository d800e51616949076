// The server's end of the memory that it shares with one worker.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "api/tensor.h"
#include "backends/python/descriptor.h"
#include "backends/python/shared/arena.h"
#include "backends/python/shared/channel.h"
#include "base/status.h"

namespace nereid::python {

// Bytes. What --backend-config=python,shm-... says.
struct RegionSizes {
  std::uint64_t initial = 1 << 20;  // kept when idle
  std::uint64_t growth = 1 << 20;
  std::uint64_t most = 0;  // one region, at most
};

// A message of the worker: packed data, and the tensors that belong to it. Copies share the block, which goes back when the last is gone.
struct Message {
  std::shared_ptr<const void> block;
  std::string_view packed;
  const char* tensors = nullptr;
  std::size_t tensors_size = 0;
};

// A part of the server's region, by the content of its block; 0: none.
struct LentPart {
  std::uint64_t block = 0, offset = 0;
};

// Memory that goes to the worker and comes back has been written and read in the order of words that both processes change.
// ThreadSanitizer sees one of them only, and is told: what came before a Give comes before what follows a Take.
class SharedOrder {
 public:
#if __has_feature(thread_sanitizer)
  void Give() { gives_.fetch_add(1, std::memory_order_release); }
  void Take() { (void)gives_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint32_t> gives_{0};
#else
  void Give() {}
  void Take() {}
#endif
};

class Channel : public std::enable_shared_from_this<Channel> {
 public:
  // `name` is seen in /proc only.
  static Result<std::shared_ptr<Channel>> Create(const std::string& name, const RegionSizes& sizes);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  int control_fd() const { return control_fd_.get(); }
  int server_region_fd() const { return server_fd_.get(); }
  int worker_region_fd() const { return worker_fd_.get(); }
  const RegionSizes& sizes() const { return sizes_; }
  ChannelControl& control() { return *control_; }

  // A block for a message to the worker: `packed` is written, `tensors_size` bytes are left for the caller. Null when the region is full.
  struct Draft {
    char* content = nullptr;
    char* tensors = nullptr;
    std::size_t size = 0;
  };
  Draft Begin(const std::string& packed, std::size_t tensors_size);
  // Memory for the tensors of messages to come, at least for as long as the pointer lives. Null: no more is lent. Any thread.
  std::shared_ptr<char> Lend(std::size_t bytes);
  // Where bytes that Lend's pointer owns lie.
  LentPart FindLent(const Bytes& bytes) const;

  // The call's place in the ring, in which the worker takes it. Nothing: it has left 1024 calls unread. One thread at a time.
  std::optional<std::uint32_t> PushCall(const Draft& draft);
  // Once the calls are pushed.
  void RingWorker();
  // The worker has taken the call at that place.
  bool Taken(std::uint32_t place) const;
  // Kept here when the ring is full, until FlushReplies finds room.
  void PushReply(const Draft& draft);
  void FlushReplies();

  // The next message of the worker: 1, 0 when there is none, -1 when what it wrote makes no sense. One thread at a time.
  int Pop(Message& message);

  // The content of a block is read, of a message or of what was lent. Any thread.
  void GiveBack(char* content);
  void TakeBack(char* content, std::uint64_t bytes);

  // Gives memory back that was not used since the last time.
  void Trim();

 private:
  Channel() = default;

  RegionSizes sizes_;
  Descriptor control_fd_, server_fd_, worker_fd_;
  ChannelControl* control_ = nullptr;
  char* server_base_ = nullptr;
  char* worker_base_ = nullptr;
  std::uint64_t worker_size_ = 0;  // of the worker's region as last seen; it never shrinks

  SharedOrder order_;
  std::atomic<std::uint64_t> lent_{0};  // bytes

  std::mutex mutex_;
  Arena arena_{};                     // guarded by mutex_
  std::deque<ChannelEntry> backlog_;  // guarded by mutex_
};

}  // namespace nereid::python

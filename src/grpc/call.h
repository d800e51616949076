// The completion queue's side of a call: tags that keep their owner alive, and the count that shutdown waits for.
// All of gRPC's asynchronous machinery is used from these files only; handlers see messages and a way to answer.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include <grpcpp/grpcpp.h>

#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#endif

namespace nereid::grpc_front {

// One outstanding operation. Arm it, hand its address to gRPC, and the owner lives at least until the operation ended.
class Tag {
 public:
  template <auto Method, class T>
  void* Arm(std::shared_ptr<T> owner) {
    run_ = [](void* object, bool ok) { (static_cast<T*>(object)->*Method)(ok); };
    owner_ = std::move(owner);
#if __has_feature(thread_sanitizer)
    __tsan_release(this);  // gRPC's libraries are not instrumented: the order that the queue gives must be told
#endif
    return this;
  }
  // On the queue's thread. `ok` is false when the operation came to nothing.
  void Run(bool ok) {
#if __has_feature(thread_sanitizer)
    __tsan_acquire(this);
#endif
    std::shared_ptr<void> owner = std::move(owner_);
    auto run = run_;
    run(owner.get(), ok);
  }
  // The operation was never started: gRPC will not return the tag.
  void Disarm() { owner_.reset(); }

 private:
  std::shared_ptr<void> owner_;
  void (*run_)(void*, bool) = nullptr;
};

// The calls that may still start operations on a queue. Any thread.
class OpenCalls {
 public:
  // False after Close: the call must start no operation at all.
  [[nodiscard]] bool Begin() {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    ++count_;
    return true;
  }
  void End() {
    std::lock_guard lock(mutex_);
    if (--count_ == 0) empty_.notify_all();
  }
  // Waits until none is open, and lets none begin any more.
  void Close() {
    std::unique_lock lock(mutex_);
    empty_.wait(lock, [this] { return count_ == 0; });
    closed_ = true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  std::size_t count_ = 0;  // guarded by mutex_
  bool closed_ = false;    // guarded by mutex_
};

}  // namespace nereid::grpc_front

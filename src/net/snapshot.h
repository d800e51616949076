// Values that are read on every request and replaced rarely.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "net/io_threads.h"

namespace nereid::net {

// Each io thread holds a plain pointer: reading costs nothing. Only the pointer's own thread touches it once the threads run.
template <class T>
class PerThread {
 public:
  // Before the io threads start.
  PerThread(IoThreads& threads, std::shared_ptr<const T> value) : threads_(threads), slots_(static_cast<std::size_t>(threads.count())) {
    for (auto& slot : slots_) slot.value = value;
  }

  // On an io thread; valid until the next suspension.
  const T& Get() const { return *slots_[static_cast<std::size_t>(IoThreads::CurrentIndex())].value; }
  std::shared_ptr<const T> Share() const { return slots_[static_cast<std::size_t>(IoThreads::CurrentIndex())].value; }

  // Ends after every io thread took it.
  Task<Nothing> Publish(std::shared_ptr<const T> value) {
    return threads_.RunOnAll([this, value](int index) { slots_[static_cast<std::size_t>(index)].value = value; });
  }

 private:
  struct alignas(64) Slot {
    std::shared_ptr<const T> value;
  };
  IoThreads& threads_;
  std::vector<Slot> slots_;
};

// The same for other threads. (libstdc++ 12's atomic<shared_ptr> is a data race to ThreadSanitizer.)
template <class T>
class Published {
 public:
  explicit Published(std::shared_ptr<const T> value = nullptr) : value_(std::move(value)) {}
  std::shared_ptr<const T> Get() const {
    std::lock_guard lock(mutex_);
    return value_;
  }
  void Set(std::shared_ptr<const T> value) {
    std::lock_guard lock(mutex_);
    value_.swap(value);  // the old one is destroyed outside the lock
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;  // guarded by mutex_
};

}  // namespace nereid::net

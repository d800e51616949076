#include "store/worker.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace nereid::store {

Worker::Worker(std::string name, int nice, Millis period, std::function<void()> tick) : period_(period), tick_(std::move(tick)) {
  thread_ = std::thread([this, name = std::move(name), nice] {
    ::pthread_setname_np(::pthread_self(), name.c_str());
    // On Linux this is of the calling thread.
    if (nice > 0) ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice);
    Loop();
  });
}

Worker::~Worker() {
  Stop();
}

bool Worker::Post(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() >= kQueueMax) return false;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

void Worker::Wake() {
  {
    std::lock_guard lock(mutex_);
    if (woken_) return;
    woken_ = true;
  }
  wake_.notify_one();
}

void Worker::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Worker::Loop() {
  std::unique_lock lock(mutex_);
  SteadyTime next_tick = SystemClock().Steady() + period_;
  for (;;) {
    auto has_work = [this] { return stopping_ || woken_ || !jobs_.empty(); };
    if (tick_) wake_.wait_until(lock, next_tick, has_work);
    else wake_.wait(lock, has_work);
    while (!jobs_.empty()) {
      std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
    bool stop = stopping_;
    if (tick_ && (woken_ || stop || SystemClock().Steady() >= next_tick)) {
      woken_ = false;
      lock.unlock();
      tick_();
      lock.lock();
      next_tick = SystemClock().Steady() + period_;
    }
    if (stop) return;
  }
}

}  // namespace nereid::store

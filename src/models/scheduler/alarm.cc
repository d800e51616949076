#include "models/scheduler/alarm.h"

#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/status.h"

namespace nereid::models {

struct Alarm::Shared {
  std::mutex mutex;            // held while it rings
  std::function<void()> ring;  // guarded by mutex; empty: the alarm is gone

  std::mutex at_mutex;
  std::condition_variable wake;
  SteadyTime at = SteadyTime::max();  // guarded by at_mutex
  bool stopping = false;              // guarded by at_mutex

  void Ring() {
    std::lock_guard lock(mutex);
    if (ring) ring();
  }
};

Alarm::Alarm(Home* home, std::function<void()> ring) : shared_(std::make_shared<Shared>()) {
  shared_->ring = std::move(ring);
  if (!home) {
    thread_ = std::thread([this] { Run(); });
    return;
  }
  timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  int watched = timer_ < 0 ? -1 : ::fcntl(timer_, F_DUPFD_CLOEXEC, 0);
  NEREID_CHECK(watched >= 0);
  watch_ = home->Watch(watched, [shared = shared_] { shared->Ring(); });
}

Alarm::~Alarm() {
  if (thread_.joinable()) {
    {
      std::lock_guard lock(shared_->at_mutex);
      shared_->stopping = true;
    }
    shared_->wake.notify_one();
    thread_.join();
  }
  watch_.reset();
  {
    std::lock_guard lock(shared_->mutex);
    shared_->ring = nullptr;  // which may set the alarm until now
  }
  if (timer_ >= 0) ::close(timer_);
}

void Alarm::Set(SteadyTime at) {
  if (timer_ < 0) {
    std::lock_guard lock(shared_->at_mutex);
    shared_->at = at;
    shared_->wake.notify_one();
    return;
  }
  // A time of zero would switch it off; one that has passed rings at once.
  auto count = std::max<std::int64_t>(1, std::chrono::duration_cast<Nanos>(at.time_since_epoch()).count());
  itimerspec spec{{0, 0}, {count / 1'000'000'000, count % 1'000'000'000}};
  ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &spec, nullptr);
}

void Alarm::Run() {
  std::unique_lock lock(shared_->at_mutex);
  while (!shared_->stopping) {
    if (std::chrono::steady_clock::now() < shared_->at) {
      if (shared_->at == SteadyTime::max()) shared_->wake.wait(lock);
      else shared_->wake.wait_until(lock, shared_->at);
      continue;
    }
    shared_->at = SteadyTime::max();
    lock.unlock();
    shared_->Ring();
    lock.lock();
  }
}

}  // namespace nereid::models

#include "backends/python/tender.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "backends/python/worker.h"

namespace nereid::python {
namespace {

constexpr int kTickMs = 1000;

}  // namespace

Result<std::unique_ptr<Tender>> Tender::Start() {
  std::unique_ptr<Tender> self(new Tender);
  self->epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  self->wake_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (self->epoll_.get() < 0 || self->wake_.get() < 0)
    return Error(Code::kInternal, fmt::format("no descriptors for the Python workers: {}", std::strerror(errno)), "no_descriptors");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = self->wake_.get();
  ::epoll_ctl(self->epoll_.get(), EPOLL_CTL_ADD, self->wake_.get(), &event);
  self->thread_ = std::thread([tender = self.get()] { tender->Run(); });
  ::pthread_setname_np(self->thread_.native_handle(), "python-tender");
  return self;
}

Tender::~Tender() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Tender::Add(std::shared_ptr<Worker> worker) {
  std::lock_guard lock(mutex_);
  for (int fd : {worker->event(), worker->pidfd()}) {
    workers_[fd] = worker;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;  // nobody reads the events
    event.data.fd = fd;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  ::eventfd_write(wake_.get(), 1);  // it ticks while there are workers
}

void Tender::Run() {
  SteadyTime next_tick = std::chrono::steady_clock::now() + Millis(kTickMs);
  for (;;) {
    bool any;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      any = !workers_.empty();
    }
    auto left = std::chrono::duration_cast<Millis>(next_tick - std::chrono::steady_clock::now()).count();
    epoll_event events[64];
    int count = ::epoll_wait(epoll_.get(), events, 64, any ? static_cast<int>(std::max<std::int64_t>(0, left) + 1) : -1);
    for (int i = 0; i < count; ++i) {
      int fd = events[i].data.fd;
      if (fd == wake_.get()) {
        eventfd_t ignored;
        ::eventfd_read(fd, &ignored);
        continue;
      }
      std::shared_ptr<Worker> worker;
      {
        std::lock_guard lock(mutex_);
        auto found = workers_.find(fd);
        if (found == workers_.end()) continue;  // ended earlier in this round
        worker = found->second;
        if (fd == worker->pidfd()) {
          for (int each : {worker->event(), worker->pidfd()}) {
            ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, each, nullptr);
            workers_.erase(each);
          }
        }
      }
      if (fd == worker->pidfd()) worker->OnEnd();
      else worker->OnEvent(0);
    }
    SteadyTime now = std::chrono::steady_clock::now();
    if (now < next_tick) continue;
    next_tick = now + Millis(kTickMs);
    std::vector<std::shared_ptr<Worker>> all;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [fd, worker] : workers_) {
        if (fd == worker->pidfd()) all.push_back(worker);
      }
    }
    for (const auto& worker : all) worker->OnTick();
  }
}

}  // namespace nereid::python

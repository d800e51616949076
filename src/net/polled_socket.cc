#include "net/polled_socket.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <list>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include "base/status.h"

namespace nereid::net {
namespace {

// Few enough that what is posted meanwhile does not wait long.
constexpr int kEvents = 64;

using Waiter = asio::async_result<asio::use_awaitable_t<Executor>, void(bool)>::handler_type;

}  // namespace

struct PolledSocket::Entry {
  Poller& poller;
  Executor executor;
  int descriptor;
  bool ready[2] = {false, false};  // by Side
  bool hung_up = false;
  std::optional<Waiter> waiters[2];
  std::function<void()> on_hang_up;
  std::list<Entry*>::iterator place;

  static std::size_t Side(Need need) { return need == Need::kWrite ? 1 : 0; }

  void Wake(std::size_t side) {
    if (waiters[side]) Take(side)(true);
  }
  // Never within the caller's frame, which may be the one that is waited for.
  void Finish(std::size_t side, bool result) {
    if (!waiters[side]) return;
    asio::post(executor, [waiter = Take(side), result]() mutable { std::move(waiter)(result); });
  }
  Waiter Take(std::size_t side) {
    Waiter waiter = std::move(*waiters[side]);
    waiters[side].reset();
    // A cancellation that comes later has nothing to do with this entry, which may be gone by then.
    if (auto slot = asio::get_associated_cancellation_slot(waiter); slot.is_connected()) slot.clear();
    return waiter;
  }
};

// The sockets of one io_context: an epoll set of its own inside Asio's. Asio's own waits cost an epoll_ctl each and two passes through
// its queue; here a burst of events is one pass, and each resumes its coroutine directly.
class Poller final : public asio::execution_context::service {
 public:
  using key_type = Poller;
  static inline asio::execution_context::id id;

  explicit Poller(asio::execution_context& context)
      : service(context), events_(static_cast<asio::io_context&>(context).get_executor(), ::epoll_create1(EPOLL_CLOEXEC)) {}

  std::list<PolledSocket::Entry*>::iterator Add(PolledSocket::Entry& entry) {
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {&entry}};
    NEREID_CHECK(::epoll_ctl(events_.native_handle(), EPOLL_CTL_ADD, entry.descriptor, &event) == 0);
    auto place = entries_.insert(entries_.end(), &entry);
    if (entries_.size() == 1) Watch();
    return place;
  }

  void Remove(PolledSocket::Entry* entry) {
    entries_.erase(entry->place);
    // Events of this round may still name it.
    if (dispatching_) removed_.emplace_back(entry);
    else delete entry;
    if (entries_.empty() && !stopped_) events_.cancel();
  }

 private:
  void shutdown() override {
    stopped_ = true;
    // A waiter is a suspended task, and that owns sockets: each may take others with it.
    for (bool found = true; found;) {
      found = false;
      for (PolledSocket::Entry* entry : entries_) {
        for (std::size_t side : {0, 1}) {
          if (!entry->waiters[side]) continue;
          entry->Take(side);
          found = true;
          break;
        }
        if (found) break;
      }
    }
  }

  void Watch() {
    if (std::exchange(watching_, true)) return;
    events_.async_wait(asio::posix::descriptor_base::wait_read, [this](boost::system::error_code) {
      watching_ = false;
      if (stopped_) return;
      Dispatch();
      if (!entries_.empty()) Watch();
    });
  }

  void Dispatch() {
    std::array<epoll_event, kEvents> events;
    int count = ::epoll_wait(events_.native_handle(), events.data(), kEvents, 0);
    dispatching_ = true;
    for (int i = 0; i < count; ++i) {
      auto* entry = static_cast<PolledSocket::Entry*>(events[static_cast<std::size_t>(i)].data.ptr);
      std::uint32_t what = events[static_cast<std::size_t>(i)].events;
      if (entry->descriptor < 0) continue;
      bool ended = what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
      if (ended || (what & EPOLLIN)) entry->ready[0] = true;
      if ((what & (EPOLLHUP | EPOLLERR)) || (what & EPOLLOUT)) entry->ready[1] = true;
      if (ended && !std::exchange(entry->hung_up, true) && entry->on_hang_up) entry->on_hang_up();
      for (std::size_t side : {0, 1}) {
        if (entry->descriptor >= 0 && entry->ready[side]) entry->Wake(side);
      }
    }
    dispatching_ = false;
    removed_.clear();
  }

  asio::posix::basic_stream_descriptor<Executor> events_;
  std::list<PolledSocket::Entry*> entries_;
  std::vector<std::unique_ptr<PolledSocket::Entry>> removed_;
  bool watching_ = false, dispatching_ = false, stopped_ = false;
};

PolledSocket::PolledSocket(Executor executor, int descriptor)
    : entry_(new Entry{asio::use_service<Poller>(executor.context()), executor, descriptor, {}, false, {}, {}, {}}) {
  entry_->place = entry_->poller.Add(*entry_);
}

PolledSocket::~PolledSocket() = default;

void PolledSocket::Release::operator()(Entry* entry) const {
  if (entry->descriptor >= 0) ::close(std::exchange(entry->descriptor, -1));
  for (std::size_t side : {0, 1}) entry->Finish(side, false);
  entry->on_hang_up = nullptr;
  entry->poller.Remove(entry);
}

int PolledSocket::fd() const {
  return entry_ ? entry_->descriptor : -1;
}

bool PolledSocket::Ready(Need need) const {
  return entry_->ready[Entry::Side(need)];
}

void PolledSocket::Exhausted(Need need) {
  if (need == Need::kWrite || !entry_->hung_up) entry_->ready[Entry::Side(need)] = false;
}

bool PolledSocket::hung_up() const {
  return entry_->hung_up;
}

Awaitable<bool> PolledSocket::Wait(Need need) {
  std::size_t side = Entry::Side(need);
  return asio::async_initiate<const asio::use_awaitable_t<Executor>, void(bool)>(
      [entry = entry_.get(), side](Waiter waiter) {
        NEREID_CHECK(!entry->waiters[side]);
        // The handler destroys itself in Finish, which is therefore the last that it does.
        if (auto slot = asio::get_associated_cancellation_slot(waiter); slot.is_connected())
          slot.assign([entry, side](asio::cancellation_type) { entry->Finish(side, false); });
        entry->waiters[side].emplace(std::move(waiter));
        if (entry->descriptor < 0) entry->Finish(side, false);
        else if (entry->ready[side]) entry->Finish(side, true);
      },
      kAwait);
}

void PolledSocket::CancelWaits() {
  for (std::size_t side : {0, 1}) entry_->Finish(side, false);
}

void PolledSocket::OnHangUp(std::function<void()> call) {
  entry_->on_hang_up = std::move(call);
}

void PolledSocket::Close() {
  if (!entry_ || entry_->descriptor < 0) return;
  ::close(std::exchange(entry_->descriptor, -1));
  CancelWaits();
}

}  // namespace nereid::net

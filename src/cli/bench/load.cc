#include "cli/bench/load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "net/body.h"
#include "net/http_head.h"

namespace nereid::cli {
namespace {

using std::chrono::steady_clock;

// One connection: sends a request, reads the answer, again.
struct Peer {
  int fd = -1;
  bool connecting = false, busy = false;
  SteadyTime due{}, last_read{};
  std::size_t sent = 0;
  std::string buffer;
  bool have_head = false, first_byte = false, keep = true;
  net::UpstreamHead head;
  net::ChunkDecoder chunks;
  std::uint64_t left = 0;
};

class Load {
 public:
  Load(const LoadPlan& plan, const std::function<void(double, std::uint64_t)>& progress, const std::function<void()>& warmed)
      : plan_(plan), progress_(progress), warmed_(warmed) {}
  ~Load() {
    for (auto& peer : peers_) Close(*peer);
    if (epoll_ >= 0) ::close(epoll_);
  }

  Result<Record> Run() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    where_.sin_family = AF_INET;
    where_.sin_port = htons(static_cast<std::uint16_t>(plan_.port));
    if (::inet_pton(AF_INET, plan_.host.c_str(), &where_.sin_addr) != 1)
      return Error(Code::kInvalidArgument, fmt::format("'{}' is no IPv4 address", plan_.host));
    for (int i = 0; i < plan_.connections; ++i) {
      peers_.push_back(std::make_unique<Peer>());
      Connect(*peers_.back());
    }
    SteadyTime start = steady_clock::now();
    measured_from_ = start + Seconds(plan_.warm_up_s);
    SteadyTime end = measured_from_ + Seconds(plan_.duration_s), next_progress = start + std::chrono::seconds(1);
    next_due_ = start;
    epoll_event events[256];
    for (;;) {
      SteadyTime now = steady_clock::now();
      if (!warm_ && now >= measured_from_) {
        warm_ = true;
        record_ = Record();
        warmed_();
        end = now + Seconds(plan_.duration_s);
      }
      if (now >= end || (plan_.requests_max > 0 && record_.requests >= plan_.requests_max)) break;
      if (now >= next_progress) {
        progress_(std::chrono::duration<double>(now - start).count(), record_.requests);
        next_progress += std::chrono::seconds(1);
      }
      Start(now);
      int wait_ms = plan_.rate > 0 ? 1 : 10;
      int count = ::epoll_wait(epoll_, events, 256, wait_ms);
      for (int i = 0; i < count; ++i) Ready(*static_cast<Peer*>(events[i].data.ptr), events[i].events);
    }
    return std::move(record_);
  }

 private:
  static SteadyTime::duration Seconds(double s) {
    return std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(s));
  }

  void Connect(Peer& peer) {
    peer.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    ::setsockopt(peer.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int result = ::connect(peer.fd, reinterpret_cast<sockaddr*>(&where_), sizeof where_);
    peer.connecting = result != 0 && errno == EINPROGRESS;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &peer;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, peer.fd, &event);
    if (result != 0 && !peer.connecting) Fail(peer, "connect");
    else if (!peer.connecting) idle_.push_back(&peer);
  }
  void Close(Peer& peer) {
    if (peer.fd >= 0) ::close(peer.fd);
    peer.fd = -1;
  }
  void Reopen(Peer& peer) {
    Close(peer);
    std::erase(idle_, &peer);
    peer = Peer{};
    Connect(peer);
  }
  void Fail(Peer& peer, const std::string& kind) {
    ++record_.errors[kind];
    if (++failures_in_row_ > 10'000) return;  // nobody there: do not spin on new connections
    Reopen(peer);
  }

  void Start(SteadyTime now) {
    if (plan_.rate <= 0) {
      while (!idle_.empty()) Begin(now);
      return;
    }
    // Open loop: what is due is due, whether a connection is free or not.
    while (next_due_ <= now) {
      due_.push_back(next_due_);
      next_due_ += Seconds(1 / plan_.rate);
    }
    while (!idle_.empty() && !due_.empty()) {
      SteadyTime due = due_.front();
      due_.pop_front();
      Begin(due);
    }
  }
  void Begin(SteadyTime due) {
    Peer& peer = *idle_.front();
    idle_.pop_front();
    peer.busy = true;
    peer.due = due;
    peer.sent = 0;
    peer.buffer.clear();
    peer.have_head = peer.first_byte = false;
    peer.chunks = net::ChunkDecoder();
    peer.chunks.LimitChunks(INT32_MAX);
    SendMore(peer);
  }
  void SendMore(Peer& peer) {
    while (peer.sent < plan_.request.size()) {
      ssize_t sent = ::send(peer.fd, plan_.request.data() + peer.sent, plan_.request.size() - peer.sent, MSG_NOSIGNAL);
      if (sent > 0) {
        peer.sent += static_cast<std::size_t>(sent);
        continue;
      }
      if (errno == EAGAIN || errno == EINTR) return;
      return Fail(peer, "send");
    }
  }

  void Ready(Peer& peer, unsigned events) {
    if (peer.fd < 0) return;
    if (peer.connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(peer.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return Fail(peer, "connect");
      peer.connecting = false;
      idle_.push_back(&peer);
      return;
    }
    if (peer.busy && peer.sent < plan_.request.size() && (events & EPOLLOUT)) SendMore(peer);
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP))) return;
    char room[65536];
    for (;;) {
      ssize_t got = ::recv(peer.fd, room, sizeof room, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return peer.busy ? Fail(peer, got == 0 ? "cut" : "reset") : Reopen(peer);
      if (!peer.busy) return Fail(peer, "unasked bytes");
      SteadyTime now = steady_clock::now();
      if (!std::exchange(peer.first_byte, true)) {
        record_.first_byte.Add(now - peer.due);
      } else {
        record_.gap.Add(now - peer.last_read);
      }
      peer.last_read = now;
      ++record_.events;
      if (!Take(peer, std::string_view(room, static_cast<std::size_t>(got)), now)) return;
      if (static_cast<std::size_t>(got) < sizeof room) return;
    }
  }

  // False when the peer has got another connection.
  bool Take(Peer& peer, std::string_view bytes, SteadyTime now) {
    if (!peer.have_head) {
      peer.buffer += bytes;
      std::size_t scanned = 0;
      std::size_t end = net::FindHeadEnd(peer.buffer, scanned);
      if (end == 0) return true;
      if (!net::ParseResponseHead(std::string_view(peer.buffer).substr(0, end), {}, peer.head)) {
        Fail(peer, "bad answer");
        return false;
      }
      peer.have_head = true;
      peer.left = peer.head.content_length.value_or(0);
      bytes = std::string_view(peer.buffer).substr(end);
    }
    bool done = false;
    if (peer.head.chunked) {
      while (!bytes.empty() && !done) {
        auto step = peer.chunks.Next(bytes);
        if (!step) {
          Fail(peer, "bad chunks");
          return false;
        }
        bytes.remove_prefix(step->consumed);
        done = step->done;
      }
    } else {
      peer.left -= std::min<std::uint64_t>(peer.left, bytes.size());
      done = peer.left == 0;
    }
    if (!done) return true;
    if (peer.head.status >= 400) ++record_.errors[fmt::format("status {}", peer.head.status)];
    failures_in_row_ = 0;
    record_.latency.Add(now - peer.due);
    ++record_.requests;
    peer.busy = false;
    if (!peer.head.keep_alive) {
      Reopen(peer);
      return false;
    }
    idle_.push_back(&peer);
    return true;
  }

  const LoadPlan& plan_;
  const std::function<void(double, std::uint64_t)>& progress_;
  const std::function<void()>& warmed_;
  int epoll_ = -1;
  sockaddr_in where_{};
  std::vector<std::unique_ptr<Peer>> peers_;
  std::deque<Peer*> idle_;
  std::deque<SteadyTime> due_;
  SteadyTime measured_from_{}, next_due_{};
  bool warm_ = false;
  std::uint64_t failures_in_row_ = 0;
  Record record_;
};

}  // namespace

Result<Record> RunLoad(const LoadPlan& plan, const std::function<void(double, std::uint64_t)>& progress,
                       const std::function<void()>& warmed) {
  return Load(plan, progress, warmed).Run();
}

}  // namespace nereid::cli

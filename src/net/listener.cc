#include "net/listener.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <vector>

#include <fmt/format.h>

#include "net/spawn.h"

namespace nereid::net {
namespace {

constexpr Millis kTick{100};
constexpr int kBacklog = 1024;

Result<Endpoint> ResolveAddress(const std::string& address, int port) {
  boost::system::error_code error;
  std::string text = address == "localhost" ? "127.0.0.1" : address;
  auto ip = asio::ip::make_address(text, error);
  if (error) return Error(Code::kInvalidArgument, fmt::format("'{}' is no IP address to listen on", address), "bad_address");
  return Endpoint(ip, static_cast<unsigned short>(port));
}

std::unexpected<Status> BindError(const Endpoint& endpoint, int error) {
  std::string where = fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port());
  if (error == EADDRINUSE)
    return Error(Code::kUnavailable, fmt::format("{} is in use by another process; stop it or choose another port", where), "port_in_use");
  return Error(Code::kUnavailable, fmt::format("cannot listen on {}: {}", where, std::strerror(error)), "bind_failed");
}

// A bound listening descriptor.
Result<int> Listen(const Endpoint& endpoint, bool reuse_port) {
  int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return BindError(endpoint, errno);
  int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (reuse_port) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (::bind(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 || ::listen(fd, kBacklog) != 0) {
    int error = errno;
    ::close(fd);
    return BindError(endpoint, error);
  }
  return fd;
}

int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

}  // namespace

struct Listener::Core {
  Core(IoThreads& io, ListenOptions o) : threads(io), options(std::move(o)) {}

  // What belongs to one io thread.
  struct Place {
    Place(Executor e, std::unique_ptr<Lane> l) : executor(e), lane(std::move(l)), listener(e), tick(e) {}
    const Executor executor;
    const std::unique_ptr<Lane> lane;
    asio::basic_socket_acceptor<asio::ip::tcp, Executor> listener;
    Timer tick;
    std::list<std::shared_ptr<Connection>> connections;
    bool draining = false;
    bool over = false;  // a tick that has expired already is not cancelled by cancelling
  };

  Task<Nothing> Accept(Place& place, std::shared_ptr<Core> self);
  Task<Nothing> Ticks(Place& place, std::shared_ptr<Core> self);
  bool TakeAll(Place& place);  // false: out of descriptors or memory, there may be more to take later
  void Adopt(Place& place, int fd, const sockaddr_storage& from);
  void Ended();
  // Runs `work` on each thread, and returns when it is done there: nothing of it is left in their queues, which may outlive their timers.
  void OnEach(const std::function<void(Place&)>& work);
  bool WaitForNone(SteadyTime deadline);

  IoThreads& threads;
  const ListenOptions options;
  std::vector<std::unique_ptr<Place>> places;
  std::atomic<int> count{0};
  std::mutex mutex;
  std::condition_variable idle;
};

Listener::Listener(IoThreads& threads, ListenOptions options, const MakeLane& make)
    : core_(std::make_shared<Core>(threads, std::move(options))) {
  int places = core_->options.threads_max > 0 ? std::min(core_->options.threads_max, threads.count()) : threads.count();
  for (int i = 0; i < places; ++i)
    core_->places.push_back(std::make_unique<Core::Place>(threads.executor(i), make(i, threads.executor(i))));
}

Listener::~Listener() = default;

int Listener::connections() const {
  return core_->count;
}

Result<int> Listener::Start() {
  Core& core = *core_;
  TRY(Endpoint endpoint, ResolveAddress(core.options.address, core.options.port));
  if (!core.options.reuse_port) {
    // With SO_REUSEPORT alone a second server would share the port in silence.
    TRY(int probe, Listen(endpoint, false));
    endpoint.port(static_cast<unsigned short>(PortOf(probe)));
    ::close(probe);
  }
  std::vector<int> listeners;
  for (std::size_t i = 0; i < core.places.size(); ++i) {
    auto fd = Listen(endpoint, true);
    if (!fd) {
      for (int open : listeners) ::close(open);
      return std::unexpected(std::move(fd).error());
    }
    listeners.push_back(*fd);
    endpoint.port(static_cast<unsigned short>(PortOf(*fd)));
  }
  for (std::size_t i = 0; i < core.places.size(); ++i) {
    Core::Place& place = *core.places[i];
    place.listener.assign(endpoint.protocol(), listeners[i]);
    Spawn(place.executor, core.Accept(place, core_), [](auto) {});
    Spawn(place.executor, core.Ticks(place, core_), [](auto) {});
  }
  return endpoint.port();
}

Task<Nothing> Listener::Core::Accept(Place& place, std::shared_ptr<Core> self) {
  while (!place.draining) {
    auto [error] = co_await place.listener.async_wait(asio::socket_base::wait_read, kAwaitTuple);
    if (error || place.draining) break;
    if (!TakeAll(place)) CO_TRY_DO(co_await SleepUntil(std::chrono::steady_clock::now() + kTick));  // the listener stays readable
  }
  co_return Nothing{};
}

bool Listener::Core::TakeAll(Place& place) {
  for (;;) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    int fd = ::accept4(place.listener.native_handle(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
    Adopt(place, fd, from);
  }
}

void Listener::Core::Adopt(Place& place, int fd, const sockaddr_storage& from) {
  if (count.fetch_add(1) >= options.connections_max) {
    ::close(fd);
    Ended();
    return;
  }
  int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char peer[INET6_ADDRSTRLEN] = "";
  const void* address = from.ss_family == AF_INET6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&from)->sin6_addr)
                                                   : &reinterpret_cast<const sockaddr_in*>(&from)->sin_addr;
  ::inet_ntop(from.ss_family, address, peer, sizeof peer);
  auto connection = place.lane->Connect(PolledSocket(place.executor, fd), peer);
  auto at = place.connections.insert(place.connections.end(), connection);
  Spawn(
      place.executor, connection->Run(),
      [this, &place, at](auto) {
        // Freed after this frame (Spawn): the connection owns the slot.
        asio::post(place.executor, [this, connection = *at]() mutable {
          connection.reset();
          Ended();
        });
        place.connections.erase(at);
      },
      connection->signal().slot());
  if (place.draining) connection->StopReading();
}

void Listener::Core::Ended() {
  if (count.fetch_sub(1) == 1) {
    std::lock_guard lock(mutex);
    idle.notify_all();
  }
}

Task<Nothing> Listener::Core::Ticks(Place& place, std::shared_ptr<Core> self) {
  while (!place.over) {
    place.tick.expires_after(kTick);
    auto [error] = co_await place.tick.async_wait(kAwaitTuple);
    if (error) break;
    place.lane->Tick();
    SteadyTime now = std::chrono::steady_clock::now();
    for (auto& connection : place.connections) connection->Tick(now);
  }
  co_return Nothing{};
}

void Listener::BeginDrain() {
  Core& core = *core_;
  for (auto& each : core.places) {
    asio::post(each->executor, [&core, &place = *each, self = core_] {
      if (std::exchange(place.draining, true)) return;
      core.TakeAll(place);
      boost::system::error_code ignored;
      place.listener.close(ignored);
      for (auto& connection : place.connections) connection->StopReading();
    });
  }
}

bool Listener::Drain(SteadyTime deadline) {
  BeginDrain();
  Core& core = *core_;
  core.OnEach([](Core::Place&) {});  // BeginDrain has to be through before the count means anything
  bool whole = core.WaitForNone(deadline);
  core.OnEach([whole](Core::Place& place) {
    place.over = true;
    place.tick.cancel();
    if (whole) return;
    for (auto& connection : place.connections) connection->Cut();
  });
  if (!whole) core.WaitForNone(std::chrono::steady_clock::now() + std::chrono::seconds(2));
  return whole;
}

void Listener::Core::OnEach(const std::function<void(Place&)>& work) {
  std::size_t left = places.size();  // guarded by mutex
  for (auto& each : places) {
    asio::post(each->executor, [this, &place = *each, &work, &left] {
      work(place);
      std::lock_guard lock(mutex);
      --left;
      idle.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  idle.wait(lock, [&] { return left == 0; });
}

bool Listener::Core::WaitForNone(SteadyTime deadline) {
  std::unique_lock lock(mutex);
  return idle.wait_until(lock, deadline, [&] { return count == 0; });
}

}  // namespace nereid::net

#include "net/http_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <ctime>
#include <mutex>

#include <fmt/format.h>

#include "net/http_connection.h"
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

std::string DateLine() {
  std::time_t now = std::time(nullptr);
  std::tm tm{};
  ::gmtime_r(&now, &tm);
  char text[64];
  std::size_t size = std::strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
  return {text, size};
}

}  // namespace

struct HttpServer::Core {
  Core(IoThreads& io, HttpServerOptions o, Handler h) : threads(io), options(std::move(o)), handler(std::move(h)) {}

  // What belongs to one io thread.
  struct Lane {
    Lane(Core& core, Executor executor)
        : host{core.options, core.handler, core.tls.get(), core.budget, executor, {}, core.count, false, DateLine()},
          listener(executor),
          tick(executor) {}
    ConnectionHost host;
    asio::basic_socket_acceptor<asio::ip::tcp, Executor> listener;
    Timer tick;
    bool over = false;  // a tick that has expired already is not cancelled by cancelling
  };

  Task<Nothing> Accept(Lane& lane, std::shared_ptr<Core> self);
  Task<Nothing> Ticks(Lane& lane, std::shared_ptr<Core> self);
  bool TakeAll(Lane& lane);  // false: out of descriptors or memory, there may be more to take later
  void Adopt(Lane& lane, int fd, const sockaddr_storage& from);
  void Ended();

  IoThreads& threads;
  const HttpServerOptions options;
  const Handler handler;
  SslContext tls;
  std::shared_ptr<ByteBudget> budget;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::atomic<int> count{0};
  std::mutex mutex;
  std::condition_variable idle;
};

HttpServer::HttpServer(IoThreads& threads, HttpServerOptions options, Handler handler)
    : core_(std::make_shared<Core>(threads, std::move(options), std::move(handler))) {}

HttpServer::~HttpServer() = default;

int HttpServer::connections() const {
  return core_->count;
}

Result<int> HttpServer::Start() {
  Core& core = *core_;
  core.budget = std::make_shared<ByteBudget>(core.options.buffered_bytes_max);
  if (!core.options.certificate_file.empty()) {
    TRY(core.tls, ServerTls(core.options.certificate_file, core.options.key_file));
  }
  TRY(Endpoint endpoint, ResolveAddress(core.options.address, core.options.port));
  if (!core.options.reuse_port) {
    // With SO_REUSEPORT alone a second server would share the port in silence.
    TRY(int probe, Listen(endpoint, false));
    endpoint.port(static_cast<unsigned short>(PortOf(probe)));
    ::close(probe);
  }
  int lanes = core.options.threads_max > 0 ? std::min(core.options.threads_max, core.threads.count()) : core.threads.count();
  std::vector<int> listeners;
  for (int i = 0; i < lanes; ++i) {
    auto fd = Listen(endpoint, true);
    if (!fd) {
      for (int open : listeners) ::close(open);
      return std::unexpected(std::move(fd).error());
    }
    listeners.push_back(*fd);
    endpoint.port(static_cast<unsigned short>(PortOf(*fd)));
  }
  for (int i = 0; i < lanes; ++i) {
    core.lanes.push_back(std::make_unique<Core::Lane>(core, core.threads.executor(i)));
    Core::Lane& lane = *core.lanes.back();
    lane.listener.assign(endpoint.protocol(), listeners[static_cast<std::size_t>(i)]);
    Spawn(core.threads.executor(i), core.Accept(lane, core_), [](auto) {});
    Spawn(core.threads.executor(i), core.Ticks(lane, core_), [](auto) {});
  }
  return endpoint.port();
}

Task<Nothing> HttpServer::Core::Accept(Lane& lane, std::shared_ptr<Core> self) {
  while (!lane.host.draining) {
    auto [error] = co_await lane.listener.async_wait(asio::socket_base::wait_read, kAwaitTuple);
    if (error || lane.host.draining) break;
    if (!TakeAll(lane)) CO_TRY_DO(co_await SleepUntil(std::chrono::steady_clock::now() + kTick));  // the listener stays readable
  }
  co_return Nothing{};
}

bool HttpServer::Core::TakeAll(Lane& lane) {
  for (;;) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    int fd = ::accept4(lane.listener.native_handle(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
    Adopt(lane, fd, from);
  }
}

void HttpServer::Core::Adopt(Lane& lane, int fd, const sockaddr_storage& from) {
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
  auto connection = std::make_shared<HttpConnection>(lane.host, PolledSocket(lane.host.executor, fd), peer);
  auto place = lane.host.connections.insert(lane.host.connections.end(), connection);
  Spawn(
      lane.host.executor, connection->Run(),
      [this, &lane, place](auto) {
        // Freed after this frame (Spawn): the connection owns the slot.
        asio::post(lane.host.executor, [this, connection = *place]() mutable {
          connection.reset();
          Ended();
        });
        lane.host.connections.erase(place);
      },
      connection->signal().slot());
  if (lane.host.draining) connection->StopReading();
}

void HttpServer::Core::Ended() {
  if (count.fetch_sub(1) == 1) {
    std::lock_guard lock(mutex);
    idle.notify_all();
  }
}

Task<Nothing> HttpServer::Core::Ticks(Lane& lane, std::shared_ptr<Core> self) {
  while (!lane.over) {
    lane.tick.expires_after(kTick);
    auto [error] = co_await lane.tick.async_wait(kAwaitTuple);
    if (error) break;
    lane.host.date = DateLine();
    SteadyTime now = std::chrono::steady_clock::now();
    for (auto& connection : lane.host.connections) connection->Tick(now);
  }
  co_return Nothing{};
}

bool HttpServer::Drain(SteadyTime deadline) {
  Core& core = *core_;
  for (auto& each : core.lanes) {
    asio::post(each->host.executor, [&core, &lane = *each, self = core_] {
      lane.host.draining = true;
      core.TakeAll(lane);
      boost::system::error_code ignored;
      lane.listener.close(ignored);
      for (auto& connection : lane.host.connections) connection->StopReading();
    });
  }
  // The posts have to run before the count means anything: wait for each listener's thread.
  std::unique_lock lock(core.mutex);
  std::atomic<int> ready{0};
  for (auto& each : core.lanes) {
    asio::post(each->host.executor, [&core, &ready] {
      std::lock_guard inner(core.mutex);
      ++ready;
      core.idle.notify_all();
    });
  }
  int lanes = static_cast<int>(core.lanes.size());
  core.idle.wait(lock, [&] { return ready == lanes; });
  bool whole = core.idle.wait_until(lock, deadline, [&] { return core.count == 0; });
  lock.unlock();
  for (auto& each : core.lanes) {
    asio::post(each->host.executor, [&lane = *each, whole, self = core_] {
      lane.over = true;
      lane.tick.cancel();
      if (whole) return;
      for (auto& connection : lane.host.connections) connection->Cut();
    });
  }
  if (!whole) {
    lock.lock();
    core.idle.wait_for(lock, std::chrono::seconds(2), [&] { return core.count == 0; });
  }
  return whole;
}

}  // namespace nereid::net

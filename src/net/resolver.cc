#include "net/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <fmt/format.h>

namespace nereid::net {
namespace {

constexpr std::size_t kJobsMax = 1024;
constexpr std::size_t kCacheMax = 1024;
constexpr std::chrono::seconds kLife{30};

Result<std::vector<asio::ip::address>> LookUp(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0)
    return Error(Code::kUnavailable, fmt::format("the host name '{}' cannot be resolved: {}", host, ::gai_strerror(error)), "dns_failed");
  std::vector<asio::ip::address> addresses;
  for (addrinfo* each = found; each; each = each->ai_next) {
    if (each->ai_family == AF_INET) {
      auto raw = reinterpret_cast<sockaddr_in*>(each->ai_addr)->sin_addr.s_addr;
      addresses.emplace_back(asio::ip::address_v4(ntohl(raw)));
    } else if (each->ai_family == AF_INET6) {
      asio::ip::address_v6::bytes_type bytes;
      std::memcpy(bytes.data(), &reinterpret_cast<sockaddr_in6*>(each->ai_addr)->sin6_addr, 16);
      addresses.emplace_back(asio::ip::address_v6(bytes));
    }
  }
  ::freeaddrinfo(found);
  return addresses;
}

}  // namespace

Resolver::~Resolver() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Task<std::vector<asio::ip::address>> Resolver::Resolve(std::string host, Deadline deadline) {
  boost::system::error_code error;
  auto address = asio::ip::make_address(host, error);
  if (!error) co_return Addresses{address};
  OneShot<Addresses> answer(co_await asio::this_coro::executor);
  {
    std::lock_guard lock(mutex_);
    if (auto cached = cache_.find(host); cached != cache_.end() && std::chrono::steady_clock::now() < cached->second.until)
      co_return cached->second.addresses;
    if (jobs_.size() >= kJobsMax) co_return Error(Code::kUnavailable, "too many host names are being looked up", "dns_failed");
    jobs_.push_back({std::move(host), answer.completer()});
    if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  }
  wake_.notify_one();
  co_return co_await answer.Wait(deadline);
}

void Resolver::Run() {
  ::pthread_setname_np(::pthread_self(), "dns");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    auto now = std::chrono::steady_clock::now();
    if (auto cached = cache_.find(job.host); cached != cache_.end() && now < cached->second.until) {
      job.done(cached->second.addresses);
      continue;
    }
    lock.unlock();
    auto found = LookUp(job.host);
    job.done(found);
    lock.lock();
    if (!found) continue;
    if (cache_.size() >= kCacheMax) cache_.clear();
    cache_[job.host] = {*found, now + kLife};
  }
}

}  // namespace nereid::net

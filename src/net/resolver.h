// Host names to addresses, on a thread of its own with a small cache: getaddrinfo blocks.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "net/spawn.h"
#include "net/task.h"

namespace nereid::net {

class Resolver {
 public:
  Resolver() = default;
  ~Resolver();

  // Any io thread. IP addresses and cached names answer at once. kUnavailable "dns_failed" names the host.
  Task<std::vector<asio::ip::address>> Resolve(std::string host, Deadline deadline);

 private:
  using Addresses = std::vector<asio::ip::address>;
  struct Job {
    std::string host;
    OneShot<Addresses>::Completer done;
  };
  struct Cached {
    Addresses addresses;
    SteadyTime until;
  };
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;                 // guarded by mutex_; bounded
  std::map<std::string, Cached> cache_;  // guarded by mutex_; bounded
  bool stopping_ = false;                // guarded by mutex_
  std::thread thread_;                   // started by the first look-up
};

}  // namespace nereid::net

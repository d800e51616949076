// One thread that looks after all workers: reads what they say outside of calls, and sees their end.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "backends/python/descriptor.h"
#include "base/status.h"

namespace nereid::python {

class Worker;

class Tender {
 public:
  static Result<std::unique_ptr<Tender>> Start();
  // Ends the workers that are left.
  ~Tender();

  // From now on the worker's On... functions are called. It is kept until it has ended. Any thread.
  void Add(std::shared_ptr<Worker> worker);

 private:
  Tender() = default;
  void Run();

  Descriptor epoll_, wake_;
  std::mutex mutex_;
  bool stopping_ = false;                           // guarded by mutex_
  std::map<int, std::shared_ptr<Worker>> workers_;  // by both descriptors of each; guarded by mutex_
  std::thread thread_;
};

}  // namespace nereid::python

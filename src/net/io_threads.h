// The io threads: one io_context each. A connection lives and dies on one of them, so there are no locks and no strands.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>

#include "net/task.h"

namespace nereid::net {

class IoThreads {
 public:
  explicit IoThreads(int count);
  ~IoThreads();  // stops and joins

  void Start();  // threads "io-0", "io-1", ...
  int count() const { return static_cast<int>(threads_.size()); }
  Executor executor(int index) const { return threads_[static_cast<std::size_t>(index)]->context.get_executor(); }

  // Which io thread this is; -1 on any other thread.
  static int CurrentIndex();

  // Runs `work` on every io thread; ends after all of them did. Awaited on an io thread.
  Task<Nothing> RunOnAll(std::function<void(int index)> work);

  // Ends the loops at once. All tasks should have ended before: see RunningTasks.
  void Stop();
  void Join();

 private:
  struct Thread {
    asio::io_context context{1};
    asio::executor_work_guard<Executor> work{context.get_executor()};
    std::thread thread;
  };
  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace nereid::net

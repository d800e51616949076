// The io threads as places where answers come back to.
#pragma once

#include <vector>

#include "api/infer.h"
#include "net/io_threads.h"

namespace nereid::server {

class IoHome final : public Home {
 public:
  explicit IoHome(net::Executor executor) : executor_(executor) {}
  std::shared_ptr<void> Watch(int event, std::function<void()> call) override;

 private:
  net::Executor executor_;
};

// One for each io thread, by its index, as InferRequest::home counts them.
std::vector<std::unique_ptr<Home>> MakeHomes(const net::IoThreads& threads);

}  // namespace nereid::server

// Lets answers leave in the order in which their requests came (preserve_ordering).
#pragma once

#include <deque>
#include <memory>
#include <mutex>

#include "api/infer.h"

namespace nereid::models {

// Any thread.
class InOrder {
 public:
  // The place of a request whose answer goes to `receiver`.
  std::uint64_t TakeNumber(std::shared_ptr<InferReceiver> receiver);
  // The one answer to the request with that number: leaves now, or when those before it have.
  void Answer(std::uint64_t number, InferResponse response);

 private:
  struct Held {
    bool ready = false;
    InferResponse response;
    std::shared_ptr<InferReceiver> receiver;
  };
  std::mutex mutex_;
  std::deque<Held> held_;    // guarded by mutex_
  std::uint64_t first_ = 0;  // the number of the front; guarded by mutex_
  bool leaving_ = false;     // somebody sends answers; guarded by mutex_
};

}  // namespace nereid::models

#include "models/scheduler/in_order.h"

#include <utility>

namespace nereid::models {

std::uint64_t InOrder::TakeNumber(std::shared_ptr<InferReceiver> receiver) {
  std::lock_guard lock(mutex_);
  held_.push_back({false, {}, std::move(receiver)});
  return first_ + held_.size() - 1;
}

void InOrder::Answer(std::uint64_t number, InferResponse response) {
  std::unique_lock lock(mutex_);
  Held& own = held_[number - first_];
  own.ready = true;
  own.response = std::move(response);
  if (std::exchange(leaving_, true)) return;  // whoever sends answers now goes on with this one
  while (!held_.empty() && held_.front().ready) {
    Held first = std::move(held_.front());
    held_.pop_front();
    ++first_;
    lock.unlock();
    first.receiver->Push(std::move(first.response));  // may bring the next request
    first.receiver.reset();
    lock.lock();
  }
  leaving_ = false;
}

}  // namespace nereid::models

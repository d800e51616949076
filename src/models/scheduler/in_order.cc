#include "models/scheduler/in_order.h"

namespace nereid::models {

std::uint64_t InOrder::TakeNumber(std::shared_ptr<InferReceiver> receiver) {
  std::lock_guard lock(mutex_);
  held_.push_back({false, {}, std::move(receiver)});
  return first_ + held_.size() - 1;
}

void InOrder::Answer(std::uint64_t number, InferResponse response) {
  std::lock_guard lock(mutex_);
  Held& own = held_[number - first_];
  own.ready = true;
  own.response = std::move(response);
  for (; !held_.empty() && held_.front().ready; ++first_) {
    held_.front().receiver->Push(std::move(held_.front().response));  // receivers do not block
    held_.pop_front();
  }
}

}  // namespace nereid::models

// The answers to one inference that a model asked for, on their way back into its worker.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "api/infer.h"
#include "api/model_service.h"

namespace nereid::python {

class NestedCalls;

// Any thread. Of the responses of a decoupled model so many are under way at most; then it waits until the asking model has read some.
class NestedAnswers final : public InferReceiver, public std::enable_shared_from_this<NestedAnswers> {
 public:
  static constexpr int kUnderWayMost = 64;

  NestedAnswers(std::weak_ptr<NestedCalls> calls, std::uint64_t call, std::string model, Cancellation cancellation)
      : calls_(std::move(calls)), call_(call), model_(std::move(model)), cancellation_(std::move(cancellation)) {}

  void Submit(ModelService& models, InferRequest request);
  void Cancel();
  // The asking model has taken `count` responses.
  void OnRead(int count);

  Pushed Push(InferResponse&& response) override;
  void OnRoom(std::function<void()> wake) override;

 private:
  const std::weak_ptr<NestedCalls> calls_;
  const std::uint64_t call_;
  const std::string model_;
  Cancellation cancellation_;
  std::atomic<std::thread::id> submitting_{};

  std::mutex mutex_;
  int under_way_ = 0;           // guarded by mutex_
  std::function<void()> wake_;  // guarded by mutex_
};

}  // namespace nereid::python

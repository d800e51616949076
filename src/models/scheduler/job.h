// A request from its enqueueing to its final answer: the backend's Execution.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "api/backend.h"
#include "models/scheduler/state.h"
#include "models/statistics.h"

namespace nereid::models {

class Job final : public Execution {
 public:
  Job(std::shared_ptr<SchedulerState> state, InferRequest request, std::shared_ptr<InferReceiver> receiver);
  ~Job() override;

  const InferRequest& request() const override { return request_; }
  void MoveInputs(std::vector<Tensor> inputs) override { request_.inputs = std::move(inputs); }
  std::int64_t batch_size() const override { return batch_size_; }
  bool cancelled() const override { return request_.cancellation.cancelled(); }
  Pushed Send(InferResponse&& response) override;
  void OnRoom(std::function<void()> wake) override { receiver_->OnRoom(std::move(wake)); }

  void Fail(Status status, FailureReason reason);
  std::int64_t bytes() const { return bytes_; }
  SteadyTime enqueued() const { return enqueued_; }

  // Before it is queued.
  bool charged = false;  // its bytes count against the server's bound
  void TakeNumber();

  // Of the batch that it went into.
  struct BatchCount {
    std::int64_t size = 0;
    std::atomic<bool> counted{false};
  };
  void Start(SteadyTime now, std::shared_ptr<BatchCount> batch);

 private:
  void Count(const InferResponse& response);

  const std::shared_ptr<SchedulerState> state_;
  InferRequest request_;
  const std::shared_ptr<InferReceiver> receiver_;
  SteadyTime enqueued_{}, started_{};
  std::shared_ptr<BatchCount> batch_;
  std::int64_t bytes_ = 0, batch_size_ = 1;
  std::optional<std::uint64_t> number_;  // under preserve_ordering, once it is queued
  std::optional<FailureReason> failure_;
  bool done_ = false;
};

}  // namespace nereid::models

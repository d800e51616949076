#include "models/scheduler/job.h"

#include <fmt/format.h>

namespace nereid::models {

Job::Job(std::shared_ptr<SchedulerState> state, InferRequest request, std::shared_ptr<InferReceiver> receiver)
    : state_(std::move(state)), request_(std::move(request)), receiver_(std::move(receiver)), enqueued_(state_->setup.clock->Steady()) {
  for (const Tensor& tensor : request_.inputs) bytes_ += static_cast<std::int64_t>(tensor.data.size());
  batch_size_ = state_->setup.batches && !request_.inputs.empty() ? request_.inputs.front().shape.front() : 1;
}

Job::~Job() {
  if (!done_)
    Fail(Status{Code::kInternal, fmt::format("model '{}' did not answer the request", state_->setup.model), "no_answer", ""},
         FailureReason::kBackend);
  state_->Closed(charged ? bytes_ : 0);
}

void Job::TakeNumber() {
  number_ = state_->in_order.TakeNumber(receiver_);
}

void Job::Start(SteadyTime now, std::shared_ptr<BatchCount> batch) {
  started_ = now;
  batch_ = std::move(batch);
}

Pushed Job::Send(InferResponse&& response) {
  if (done_) return Pushed::kGone;
  if (response.model_name.empty()) response.model_name = state_->setup.model;
  response.model_version = state_->setup.version;
  response.client_id = request_.client_id;
  state_->setup.reshapes->ToClient(response);
  if (response.final) {
    done_ = true;
    Count(response);
  }
  if (!number_) return receiver_->Push(std::move(response));
  state_->in_order.Answer(*number_, std::move(response));
  return Pushed::kTaken;
}

void Job::Fail(Status status, FailureReason reason) {
  failure_ = reason;
  InferResponse response;
  response.error = std::move(status);
  Send(std::move(response));
}

void Job::Count(const InferResponse& response) {
  Statistics& statistics = *state_->setup.statistics;
  // What a backend waits for before it computes (free cores) is queueing too.
  SteadyTime computing = response.times ? std::max(started_, response.times->start) : started_;
  Statistics::Request request{request_.arrival == SteadyTime{} ? enqueued_ : request_.arrival,
                              enqueued_,
                              computing,
                              state_->setup.clock->Steady(),
                              batch_size_,
                              {}};
  request.times = response.times.value_or(ComputeTimes{started_, started_, request.ended, request.ended});
  if (response.error) {
    statistics.Failed(request,
                      failure_.value_or(response.error->code == Code::kCancelled ? FailureReason::kCanceled : FailureReason::kBackend));
  } else {
    statistics.Succeeded(request, state_->setup.clock->Wall());
  }
  if (batch_ && !batch_->counted.exchange(true)) statistics.Executed(batch_->size, request.times);
}

}  // namespace nereid::models

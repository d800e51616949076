#include "backends/python/nested_answers.h"

#include <algorithm>

#include <fmt/format.h>

#include "backends/python/messages.h"
#include "backends/python/nested_calls.h"

namespace nereid::python {
namespace {

// What a reply holds of a response: [parameters, tensors].
std::string Packed(const InferResponse& response) {
  PackWriter writer;
  writer.Array(2).Text(ParametersJson(response.parameters)).Array(response.outputs.size());
  std::vector<TensorPlace> places;
  LayOut(nullptr, response.outputs, 0, places);
  for (std::size_t i = 0; i < response.outputs.size(); ++i) PackTensor(writer, response.outputs[i], places[i]);
  return writer.bytes();
}

}  // namespace

void NestedAnswers::Submit(ModelService& models, InferRequest request) {
  submitting_ = std::this_thread::get_id();
  models.Submit(std::move(request), shared_from_this());
  submitting_ = std::thread::id();
}

void NestedAnswers::Cancel() {
  cancellation_.Cancel();
  OnRead(kUnderWayMost);  // who waits for room finds out
}

void NestedAnswers::OnRead(int count) {
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    under_way_ = std::max(0, under_way_ - std::clamp(count, 0, kUnderWayMost));
    wake = std::exchange(wake_, nullptr);
  }
  if (wake) wake();
}

void NestedAnswers::OnRoom(std::function<void()> wake) {
  {
    std::lock_guard lock(mutex_);
    if (under_way_ >= kUnderWayMost && !cancellation_.cancelled()) {
      wake_ = std::move(wake);
      return;
    }
  }
  wake();
}

Pushed NestedAnswers::Push(InferResponse&& response) {
  auto calls = calls_.lock();
  if (!calls) return Pushed::kGone;
  if (!response.final) {
    if (cancellation_.cancelled()) return Pushed::kGone;
    std::lock_guard lock(mutex_);
    if (under_way_ >= kUnderWayMost) return Pushed::kFull;
    ++under_way_;
  }
  InferResponse taken = std::move(response);
  // Triton names the model where it refuses a request, and gives the words of one that failed in the model as they are.
  if (taken.error && submitting_.load() == std::this_thread::get_id())
    taken.error->message = fmt::format("Model {} - Error when running inference: {}", model_, taken.error->message);
  std::string packed = taken.empty ? "" : Packed(taken);
  if (!calls->Reply(call_, taken.final, taken.error ? &*taken.error : nullptr, packed, taken.outputs)) {
    calls->Refuse(call_, Code::kUnavailable,
                  fmt::format("the answer of model '{}' does not fit in the shared memory of the worker that asked", model_));
    cancellation_.Cancel();
  }
  return Pushed::kTaken;
}

}  // namespace nereid::python

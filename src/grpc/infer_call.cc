#include "grpc/infer_call.h"

#include "grpc/infer_response.h"

namespace nereid::grpc_front {

InferCall::InferCall(std::shared_ptr<const CallContext> shared, const Incoming& incoming)
    : Call(std::move(shared), incoming, &splitter_), splitter_(InputMemoryFor(this->shared(), incoming.stream)) {}

void InferCall::OnMessage(Received message) {
  if (std::exchange(begun_, true)) return Finish(Status{Code::kUnsupported, "ModelInfer takes one message", "many_messages", ""});
  if (auto begun = Begin(message); !begun) Finish(std::move(begun).error());
}

void InferCall::OnHalfClose() {
  if (!begun_) Finish(Status{Code::kInvalidArgument, "the call ended without a message", "no_message", ""});
}

Result<Nothing> InferCall::Begin(const Received& message) {
  SteadyTime arrival = SystemClock().Steady();
  RequestReader reader;
  TRY_DO(reader.Open(message));
  if (!shared().access.Free(Category::kInference, false))
    TRY_DO(shared().access.Check(Category::kInference, false, reader.model_name(), metadata()));
  TRY(ModelRef ref, reader.Model());
  TRY(model_, shared().models.Find(ref));
  if (model_->decoupled) return Error(Code::kUnsupported, "ModelInfer RPC doesn't support models with decoupled transaction policy");
  TRY(ParsedRequest parsed, reader.Take());
  options_ = std::move(parsed.answer);
  InferRequest& request = parsed.request;
  shared().forward.Apply(metadata(), request.parameters);
  request.arrival = arrival;
  request.deadline = deadline();
  request.cancellation = cancellation();
  request.home = thread();
  MayCompress();
  shared().models.Submit(std::move(request), std::static_pointer_cast<InferCall>(shared_from_this()));
  return Nothing{};
}

Pushed InferCall::Push(InferResponse&& response) {
  std::optional<InferResponse> answer;
  bool surplus = false;
  {
    std::lock_guard lock(mutex_);
    if (!response.final) {
      if (cancellation().cancelled()) return Pushed::kGone;
      surplus_ = surplus_ || held_.has_value();
      held_ = std::move(response);
      return Pushed::kTaken;
    }
    surplus = surplus_ || (held_ && !response.empty && !response.error);
    answer = held_ && response.empty && !response.error ? std::exchange(held_, std::nullopt) : std::optional(std::move(response));
  }
  if (surplus) Answer(Error(Code::kInternal, "the model sent more than one response to a request that takes one", "many_responses"));
  else Answer(Render(*std::move(answer)));
  return Pushed::kTaken;
}

Result<Message> InferCall::Render(InferResponse response) {
  if (response.error) return std::unexpected(*std::move(response.error));
  if (response.empty) return Error(Code::kInternal, "the model ended without a response", "no_response");
  if (!options_.classifications.empty()) TRY_DO(ClassifyOutputs(options_, *model_, response));
  return RenderResponse(response);
}

void InferCall::Answer(Result<Message> answer) {
  model_.reset();  // the version may unload before the bytes are out
  if (!answer) return Finish(std::move(answer).error());
  FinishWith(*std::move(answer));
}

}  // namespace nereid::grpc_front

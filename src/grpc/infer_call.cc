#include "grpc/infer_call.h"

#include "grpc/infer_response.h"
#include "grpc/status.h"

namespace nereid::grpc_front {

InferMethod::InferMethod() {
  AddMethod(
      new grpc::internal::RpcServiceMethod("/inference.GRPCInferenceService/ModelInfer", grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
  MarkMethodRaw(0);
}

void InferMethod::Request(grpc::ServerContext* context, grpc::ByteBuffer* message,
                          grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>* writer, grpc::ServerCompletionQueue* queue, void* tag) {
  RequestAsyncUnary(0, context, message, writer, queue, queue, tag);
}

void InferCall::Await(InferMethod& method, CallContext& shared, grpc::ServerCompletionQueue& queue) {
  auto call = std::make_shared<InferCall>(method, shared, queue);
  // Armed before the call comes: gRPC gives this tag back only for a call that came.
  call->context_.AsyncNotifyWhenDone(call->ended_.Arm<&InferCall::Ended>(call));
  method.Request(&call->context_, &call->message_, &call->writer_, &queue, call->accepted_.Arm<&InferCall::Accepted>(call));
}

void InferCall::Accepted(bool ok) {
  if (!ok) {  // the server shuts down
    ended_.Disarm();
    return;
  }
  if (!shared_.open.Begin()) return;
  Await(method_, shared_, queue_);
  if (auto begun = Begin(); !begun) Finish(std::unexpected(std::move(begun).error()));
}

Result<Nothing> InferCall::Begin() {
  SteadyTime arrival = SystemClock().Steady();
  RequestReader reader;
  TRY_DO(reader.Open(message_));
  if (!shared_.access.Free(Category::kInference, false))
    TRY_DO(shared_.access.Check(Category::kInference, false, reader.model_name(), context_.client_metadata()));
  TRY(ModelRef ref, reader.Model());
  TRY(model_, shared_.models.Find(ref));
  if (model_->decoupled) return Error(Code::kUnsupported, "ModelInfer RPC doesn't support models with decoupled transaction policy");
  TRY(ParsedRequest parsed, reader.Take());
  options_ = std::move(parsed.answer);
  InferRequest& request = parsed.request;
  shared_.forward.Apply(context_.client_metadata(), request.parameters);
  request.arrival = arrival;
  request.deadline = FromGrpc(context_.deadline());
  request.cancellation = cancellation_;
  shared_.models.Submit(std::move(request), shared_from_this());
  return Nothing{};
}

Pushed InferCall::Push(InferResponse&& response) {
  std::optional<InferResponse> answer;
  bool surplus = false;
  {
    std::lock_guard lock(mutex_);
    if (!response.final) {
      if (cancellation_.cancelled()) return Pushed::kGone;
      surplus_ = surplus_ || held_.has_value();
      held_ = std::move(response);
      return Pushed::kTaken;
    }
    surplus = surplus_ || (held_ && !response.empty && !response.error);
    answer = held_ && response.empty && !response.error ? std::exchange(held_, std::nullopt) : std::optional(std::move(response));
  }
  if (surplus) Finish(Error(Code::kInternal, "the model sent more than one response to a request that takes one", "many_responses"));
  else Finish(Answer(*std::move(answer)));
  return Pushed::kTaken;
}

Result<grpc::ByteBuffer> InferCall::Answer(InferResponse response) {
  if (response.error) return std::unexpected(*std::move(response.error));
  if (response.empty) return Error(Code::kInternal, "the model ended without a response", "no_response");
  if (!options_.classifications.empty()) TRY_DO(ClassifyOutputs(options_, *model_, response));
  return RenderResponse(response);
}

void InferCall::Finish(Result<grpc::ByteBuffer> answer) {
  model_.reset();  // the version may unload before the bytes are out
  void* tag = sent_.Arm<&InferCall::Sent>(shared_from_this());
  if (answer) {
    if (shared_.compression != GRPC_COMPRESS_LEVEL_NONE) context_.set_compression_level(shared_.compression);
    writer_.Finish(*answer, grpc::Status::OK, tag);
  } else {
    writer_.FinishWithError(ToGrpc(answer.error()), tag);
  }
  shared_.open.End();  // no operation is started after this one
}

void InferCall::Ended(bool) {
  if (context_.IsCancelled()) cancellation_.Cancel();
}

}  // namespace nereid::grpc_front

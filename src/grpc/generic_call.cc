#include "grpc/generic_call.h"

#include "grpc/methods.h"
#include "grpc/status.h"
#include "grpc/stream_call.h"

namespace nereid::grpc_front {
namespace {

constexpr std::string_view kStreamInfer = "/inference.GRPCInferenceService/ModelStreamInfer";

}  // namespace

void GenericCall::Await(grpc::AsyncGenericService& service, CallContext& shared, grpc::ServerCompletionQueue& queue) {
  auto call = std::make_shared<GenericCall>(service, shared, queue);
  GenericExchange& exchange = *call->exchange_;
  exchange.context.AsyncNotifyWhenDone(exchange.ended.Arm<&GenericCall::Ended>(call));
  service.RequestCall(&exchange.context, &exchange.stream, &queue, &queue, exchange.accepted.Arm<&GenericCall::Accepted>(call));
}

void GenericCall::Accepted(bool ok) {
  if (!ok) {
    exchange_->ended.Disarm();
    return;
  }
  if (!shared_.open.Begin()) return;
  Await(service_, shared_, queue_);
  if (exchange_->context.method() == kStreamInfer) return StreamCall::Begin(exchange_, shared_);
  if (!FindMethod(exchange_->context.method()))
    return Finish(Error(Code::kUnsupported, fmt::format("unknown method {}", exchange_->context.method())));
  exchange_->stream.Read(&message_, exchange_->read.Arm<&GenericCall::HasMessage>(shared_from_this()));
}

void GenericCall::HasMessage(bool ok) {
  if (!ok) return Finish(Error(Code::kInvalidArgument, "the call ended without a message"));
  const Method* method = FindMethod(exchange_->context.method());
  method->handle(*method, shared_, exchange_->context.client_metadata(), message_,
                 [self = shared_from_this()](Result<grpc::ByteBuffer> answer) { self->Finish(std::move(answer)); });
}

void GenericCall::Finish(Result<grpc::ByteBuffer> answer) {
  void* tag = exchange_->written.Arm<&GenericCall::Written>(shared_from_this());
  if (answer) exchange_->stream.WriteAndFinish(*answer, grpc::WriteOptions(), grpc::Status::OK, tag);
  else exchange_->stream.Finish(ToGrpc(answer.error()), tag);
  shared_.open.End();  // no operation is started after this one
}

}  // namespace nereid::grpc_front

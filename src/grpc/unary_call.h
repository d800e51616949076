// A unary call but ModelInfer: a row of the method table.
#pragma once

#include "grpc/call.h"
#include "grpc/methods.h"

namespace nereid::grpc_front {

class UnaryCall final : public Call {
 public:
  UnaryCall(std::shared_ptr<const CallContext> shared, const Incoming& incoming, const Method& method)
      : Call(std::move(shared), incoming), method_(method) {}

 private:
  void OnMessage(Received message) override {
    if (std::exchange(begun_, true)) return Finish(Status{Code::kUnsupported, "this method takes one message", "many_messages", ""});
    method_.handle(method_, shared(), metadata(), message.bytes.view(),
                   [self = std::static_pointer_cast<UnaryCall>(shared_from_this())](Result<Message> answer) {
                     if (answer) self->FinishWith(*std::move(answer));
                     else self->Finish(std::move(answer).error());
                   });
  }
  void OnHalfClose() override {
    if (!begun_) Finish(Status{Code::kInvalidArgument, "the call ended without a message", "no_message", ""});
  }

  const Method& method_;
  bool begun_ = false;
};

}  // namespace nereid::grpc_front

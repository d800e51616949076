// ModelInfer: one unary tensor request, from its bytes to its answer.
#pragma once

#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/async_unary_call.h>

#include "grpc/context.h"
#include "grpc/infer_request.h"

namespace nereid::grpc_front {

// The service with the one method that gets its payload raw and together with the call.
class InferMethod final : public grpc::Service {
 public:
  InferMethod();
  void Request(grpc::ServerContext* context, grpc::ByteBuffer* message, grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>* writer,
               grpc::ServerCompletionQueue* queue, void* tag);
};

class InferCall final : public InferReceiver, public std::enable_shared_from_this<InferCall> {
 public:
  InferCall(InferMethod& method, CallContext& shared, grpc::ServerCompletionQueue& queue)
      : method_(method), shared_(shared), queue_(queue), writer_(&context_) {}

  // Waits for the next call of the queue; it asks for its successor by itself.
  static void Await(InferMethod& method, CallContext& shared, grpc::ServerCompletionQueue& queue);

  // Any thread. The answer leaves on the thread that brings the final response.
  Pushed Push(InferResponse&& response) override;
  void OnRoom(std::function<void()> wake) override { wake(); }

 private:
  void Accepted(bool ok);
  void Ended(bool ok);
  void Sent(bool) {}
  Result<Nothing> Begin();
  void Finish(Result<grpc::ByteBuffer> answer);
  Result<grpc::ByteBuffer> Answer(InferResponse response);

  InferMethod& method_;
  CallContext& shared_;
  grpc::ServerCompletionQueue& queue_;
  grpc::ServerContext context_;
  grpc::ByteBuffer message_;
  grpc::ServerAsyncResponseWriter<grpc::ByteBuffer> writer_;
  Tag accepted_, ended_, sent_;
  Cancellation cancellation_;
  // Set before Submit, then read by whoever pushes.
  AnswerOptions options_;
  std::shared_ptr<const ModelInfo> model_;

  std::mutex mutex_;
  std::optional<InferResponse> held_;  // guarded by mutex_; a response that came before the final mark
  bool surplus_ = false;               // guarded by mutex_
};

}  // namespace nereid::grpc_front

// Every call but ModelInfer arrives here: unary ones are looked up in the method table, ModelStreamInfer becomes a StreamCall.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include "grpc/context.h"

namespace nereid::grpc_front {

// gRPC's objects of one call; the completion of each operation comes to one of the tags. Operations of one kind never overlap.
struct GenericExchange {
  grpc::GenericServerContext context;
  grpc::GenericServerAsyncReaderWriter stream{&context};
  Tag accepted, ended, read, written;
};

class GenericCall final : public std::enable_shared_from_this<GenericCall> {
 public:
  GenericCall(grpc::AsyncGenericService& service, CallContext& shared, grpc::ServerCompletionQueue& queue)
      : service_(service), shared_(shared), queue_(queue), exchange_(std::make_shared<GenericExchange>()) {}

  // Waits for the next call of the queue; it asks for its successor by itself.
  static void Await(grpc::AsyncGenericService& service, CallContext& shared, grpc::ServerCompletionQueue& queue);

 private:
  void Accepted(bool ok);
  void Ended(bool) {}
  void HasMessage(bool ok);
  void Written(bool) {}
  void Finish(Result<grpc::ByteBuffer> answer);

  grpc::AsyncGenericService& service_;
  CallContext& shared_;
  grpc::ServerCompletionQueue& queue_;
  std::shared_ptr<GenericExchange> exchange_;
  grpc::ByteBuffer message_;
};

}  // namespace nereid::grpc_front

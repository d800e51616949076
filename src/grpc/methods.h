// The unary methods other than ModelInfer: a row each, from message to message.
#pragma once

#include <functional>

#include <grpcpp/support/byte_buffer.h>

#include "grpc/context.h"

namespace nereid::grpc_front {

// Call exactly once, from any thread.
using Respond = std::function<void(Result<grpc::ByteBuffer>)>;

struct Method {
  std::string_view path;
  Category category;
  bool changes;  // needs the admin scope where v2 is not open
  // On gRPC's thread; must not block. Checks access itself, since only it knows which model the message names.
  void (*handle)(const Method& self, CallContext& shared, const Metadata& metadata, grpc::ByteBuffer& message, Respond respond);
};

const Method* FindMethod(std::string_view path);  // nullptr when unknown

}  // namespace nereid::grpc_front

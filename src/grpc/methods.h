// The unary methods other than ModelInfer: a row each, from message to message.
#pragma once

#include <functional>

#include "grpc/context.h"
#include "grpc/framing.h"

namespace nereid::grpc_front {

// Call exactly once, from any thread.
using Answering = std::function<void(Result<Message>)>;

struct Method {
  std::string_view path;
  Category category;
  bool changes;  // needs the admin scope where v2 is not open
  // On an io thread; must not block. Checks access itself, since only it knows which model the message names.
  void (*handle)(const Method& self, const CallContext& shared, Metadata metadata, std::string_view message, Answering answer);
};

const Method* FindMethod(std::string_view path);  // nullptr when unknown

}  // namespace nereid::grpc_front

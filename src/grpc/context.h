// What every call needs of its server.
#pragma once

#include "api/model_service.h"
#include "grpc/access.h"
#include "grpc/header_forward.h"
#include "net/body.h"

namespace nereid::grpc_front {

// What ServerMetadata answers.
struct ServerIdentity {
  std::string id, version;
  std::vector<std::string> extensions;
};

struct CallContext {
  ModelService& models;  // outlives the calls
  const ServerIdentity identity;
  const Access access;
  const HeaderForward forward;
  const std::string compression;                  // of infer answers: none, low, medium, high
  const std::shared_ptr<net::ByteBudget> budget;  // of messages received
};

}  // namespace nereid::grpc_front

// What every call needs of its server. Outlives the calls.
#pragma once

#include "api/model_service.h"
#include "grpc/access.h"
#include "grpc/call.h"
#include "grpc/header_forward.h"

namespace nereid::grpc_front {

// What ServerMetadata answers.
struct ServerIdentity {
  std::string id, version;
  std::vector<std::string> extensions;
};

struct CallContext {
  ModelService& models;
  const ServerIdentity& identity;
  const Access& access;
  const HeaderForward& forward;
  OpenCalls& open;
  grpc_compression_level compression = GRPC_COMPRESS_LEVEL_NONE;
};

}  // namespace nereid::grpc_front

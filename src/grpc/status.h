// Our errors as gRPC's.
#pragma once

#include <grpcpp/support/status.h>

#include "base/clock.h"
#include "base/status.h"

namespace nereid::grpc_front {

grpc::Status ToGrpc(const Status& status);

// The call's deadline, which gRPC keeps in wall time, in ours.
Deadline FromGrpc(std::chrono::system_clock::time_point deadline);

}  // namespace nereid::grpc_front

#include "grpc/status.h"

#include "protocol/errors.h"

namespace nereid::grpc_front {

grpc::Status ToGrpc(const Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(protocol::WireErrorOf(status).grpc), status.message);
}

Deadline FromGrpc(std::chrono::system_clock::time_point deadline) {
  if (deadline == std::chrono::system_clock::time_point::max()) return Deadline();
  auto left = deadline - SystemClock().Wall();
  // A far deadline is none: adding it to the steady clock could overflow.
  if (left > std::chrono::hours(24 * 365)) return Deadline();
  return Deadline::After(SystemClock().Steady(), left);
}

}  // namespace nereid::grpc_front

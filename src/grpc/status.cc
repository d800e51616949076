#include "grpc/status.h"

namespace nereid::grpc_front {

grpc::Status ToGrpc(const Status& status) {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  switch (status.code) {
    case Code::kInvalidArgument:
    case Code::kTooLarge: code = grpc::StatusCode::INVALID_ARGUMENT; break;
    case Code::kUnauthenticated: code = grpc::StatusCode::UNAUTHENTICATED; break;
    case Code::kPaymentRequired:
    case Code::kRateLimited: code = grpc::StatusCode::RESOURCE_EXHAUSTED; break;
    case Code::kPermissionDenied: code = grpc::StatusCode::PERMISSION_DENIED; break;
    case Code::kNotFound: code = grpc::StatusCode::NOT_FOUND; break;
    case Code::kConflict: code = grpc::StatusCode::ALREADY_EXISTS; break;
    case Code::kCancelled: code = grpc::StatusCode::CANCELLED; break;
    case Code::kDeadlineExceeded: code = grpc::StatusCode::DEADLINE_EXCEEDED; break;
    case Code::kUnavailable:
    case Code::kBadGateway: code = grpc::StatusCode::UNAVAILABLE; break;
    case Code::kUnsupported: code = grpc::StatusCode::UNIMPLEMENTED; break;
    case Code::kInternal: code = grpc::StatusCode::INTERNAL; break;
  }
  return grpc::Status(code, status.message);
}

Deadline FromGrpc(std::chrono::system_clock::time_point deadline) {
  if (deadline == std::chrono::system_clock::time_point::max()) return Deadline();
  auto left = deadline - SystemClock().Wall();
  // A far deadline is none: adding it to the steady clock could overflow.
  if (left > std::chrono::hours(24 * 365)) return Deadline();
  return Deadline::After(SystemClock().Steady(), left);
}

}  // namespace nereid::grpc_front

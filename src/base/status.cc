#include "base/status.h"

#include <cstdio>
#include <cstdlib>

namespace nereid {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kInvalidArgument: return "INVALID_ARGUMENT";
    case Code::kUnauthenticated: return "UNAUTHENTICATED";
    case Code::kPaymentRequired: return "PAYMENT_REQUIRED";
    case Code::kPermissionDenied: return "PERMISSION_DENIED";
    case Code::kNotFound: return "NOT_FOUND";
    case Code::kConflict: return "CONFLICT";
    case Code::kTooLarge: return "TOO_LARGE";
    case Code::kRateLimited: return "RATE_LIMITED";
    case Code::kCancelled: return "CANCELLED";
    case Code::kDeadlineExceeded: return "DEADLINE_EXCEEDED";
    case Code::kUnavailable: return "UNAVAILABLE";
    case Code::kUnsupported: return "UNSUPPORTED";
    case Code::kBadGateway: return "BAD_GATEWAY";
    case Code::kInternal: return "INTERNAL";
  }
  Panic("a Code without a name", __FILE__, __LINE__);
}

void Panic(std::string_view what, const char* file, int line) {
  std::fprintf(stderr, "nereid: broken invariant at %s:%d: %.*s\n", file, line, static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace nereid

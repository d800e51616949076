#include "protocol/errors.h"

#include <array>

#include "codec/json_text.h"

namespace nereid::protocol {
namespace {

constexpr std::array<WireError, kCodeCount> kWireErrors = {{
    {Code::kInvalidArgument, 400, 400, 3, "invalid_request_error"},
    {Code::kUnauthenticated, 401, 401, 16, "invalid_request_error"},
    {Code::kPaymentRequired, 402, 429, 8, "insufficient_quota"},
    {Code::kPermissionDenied, 403, 403, 7, "permission_error"},
    {Code::kNotFound, 404, 404, 5, "invalid_request_error"},
    {Code::kConflict, 400, 409, 6, "invalid_request_error"},
    {Code::kTooLarge, 413, 413, 8, "invalid_request_error"},
    {Code::kRateLimited, 429, 429, 8, "rate_limit_error"},
    {Code::kCancelled, 400, 499, 1, "server_error"},
    {Code::kDeadlineExceeded, 504, 504, 4, "server_error"},
    {Code::kUnavailable, 503, 503, 14, "service_unavailable_error"},
    {Code::kUnsupported, 501, 400, 12, "invalid_request_error"},
    {Code::kBadGateway, 502, 502, 14, "server_error"},
    {Code::kInternal, 500, 500, 13, "server_error"},
}};

constexpr bool RowsMatchEnumOrder() {
  for (std::size_t i = 0; i < kWireErrors.size(); ++i) {
    if (kWireErrors[i].code != static_cast<Code>(i)) return false;
  }
  return true;
}
static_assert(RowsMatchEnumOrder(), "a Code has no row in kWireErrors, or rows are out of order");

// Texts with a status of their own.
struct OddRow {
  std::string_view reason;
  WireError row;
};
constexpr OddRow kOddRows[] = {
    {"bad_json", {Code::kInvalidArgument, 500, 400, 3, "invalid_request_error"}},  // Triton: every error of its JSON library is INTERNAL
    {"unknown_error", {Code::kInternal, 400, 500, 2, "server_error"}},             // Triton's UNKNOWN
    {"wrong_method", {Code::kUnsupported, 405, 405, 12, "invalid_request_error"}},
    {"body_too_large", {Code::kTooLarge, 400, 413, 8, "invalid_request_error"}},
};

struct CodeRow {
  std::string_view reason, code;
};
constexpr CodeRow kOpenAiCodes[] = {
    {"model_not_found", "model_not_found"},
    {"context_length_exceeded", "context_length_exceeded"},
    {"missing_key", ""},
    {"insufficient_scope", "insufficient_permissions"},
    {"wrong_method", "method_not_supported"},
    {"queue_full", "server_is_overloaded"},
    {"unsupported_parameter", "unsupported_parameter"},
    {"invalid_value", "invalid_value"},
};

}  // namespace

const WireError& WireErrorOf(const Status& status) {
  for (const OddRow& odd : kOddRows) {
    if (odd.reason == status.reason) return odd.row;
  }
  return kWireErrors[static_cast<std::size_t>(status.code)];
}

std::string_view OpenAiCode(const Status& status) {
  for (const CodeRow& row : kOpenAiCodes) {
    if (row.reason == status.reason) return row.code;
  }
  return status.code == Code::kUnauthenticated ? "invalid_api_key" : std::string_view();
}

std::string KServeErrorBody(std::string_view message) {
  std::string body = R"({"error":)";
  json::AppendString(body, message);
  body += '}';
  return body;
}

}  // namespace nereid::protocol

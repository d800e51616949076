// The one error type. Functions that can fail return Result<T>; exceptions stay inside third-party edges.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace nereid {

// What the caller can do about a failure. protocol/errors.cc maps each to a status of every API.
enum class Code : std::uint8_t {
  kInvalidArgument,   // mend the request
  kUnauthenticated,   // send a valid key
  kPaymentRequired,   // top up
  kPermissionDenied,  // ask for another scope
  kNotFound,          // mend the name
  kConflict,          // somebody was first; read again
  kTooLarge,          // send less
  kRateLimited,       // wait, see Retry-After
  kCancelled,         // the caller went away
  kDeadlineExceeded,  // allow more time
  kUnavailable,       // try again, here or elsewhere
  kUnsupported,       // not offered
  kBadGateway,        // the provider behind us failed
  kInternal,          // our fault
};
inline constexpr int kCodeCount = static_cast<int>(Code::kInternal) + 1;

std::string_view CodeName(Code code);

struct Status {
  Code code = Code::kInternal;
  std::string message;  // safe to show to the client
  std::string reason;   // short machine word, e.g. "model_not_found"; picks odd rows of the error table
  std::string detail;   // only for the log; of a reason that is about a field, its name

  friend bool operator==(const Status&, const Status&) = default;
};

template <class T>
using Result = std::expected<T, Status>;

// The value of a Result that has none.
struct Nothing {
  friend bool operator==(Nothing, Nothing) = default;
};

// `return Error(Code::kNotFound, "model 'x' is unknown", "model_not_found");`
inline std::unexpected<Status> Error(Code code, std::string message, std::string_view reason = {}, std::string detail = {}) {
  return std::unexpected(Status{code, std::move(message), std::string(reason), std::move(detail)});
}

// A broken invariant: says where and aborts.
[[noreturn]] void Panic(std::string_view what, const char* file, int line);

}  // namespace nereid

#define NEREID_JOIN2(a, b) a##b
#define NEREID_JOIN(a, b) NEREID_JOIN2(a, b)
#define NEREID_TRY(leave, slot, declaration, ...)   \
  auto slot = (__VA_ARGS__);                        \
  if (!slot) [[unlikely]]                           \
    leave std::unexpected(std::move(slot).error()); \
  declaration = *std::move(slot)
#define NEREID_TRY_DO(leave, slot, ...)              \
  if (auto slot = (__VA_ARGS__); !slot) [[unlikely]] \
  leave std::unexpected(std::move(slot).error())

// TRY(Plan plan, Choose(request)): binds the value or returns the error. CO_TRY is the same in a coroutine.
#define TRY(declaration, ...) NEREID_TRY(return, NEREID_JOIN(try_result_, __LINE__), declaration, __VA_ARGS__)
#define CO_TRY(declaration, ...) NEREID_TRY(co_return, NEREID_JOIN(try_result_, __LINE__), declaration, __VA_ARGS__)
// The same where the value is not wanted.
#define TRY_DO(...) NEREID_TRY_DO(return, NEREID_JOIN(try_result_, __LINE__), __VA_ARGS__)
#define CO_TRY_DO(...) NEREID_TRY_DO(co_return, NEREID_JOIN(try_result_, __LINE__), __VA_ARGS__)

#define NEREID_CHECK(condition)  \
  if (!(condition)) [[unlikely]] \
  ::nereid::Panic(#condition, __FILE__, __LINE__)

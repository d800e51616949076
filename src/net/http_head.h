// Heads of HTTP/1.1 messages, parsed in place. Strict: what two parsers could read in two ways is an error, and the connection closes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "net/exchange.h"

namespace nereid::net {

struct HeadLimits {
  std::size_t bytes_max = 32 << 10;
  std::size_t count_max = 100;
};

struct RequestHead {
  Method method = Method::kOther;
  std::string_view method_text, target, path, query;
  bool http11 = true;
  bool keep_alive = true;
  bool chunked = false;
  bool expect_continue = false;
  std::optional<std::uint64_t> content_length;
  std::vector<HeaderField> headers;  // views into the buffer
};

struct UpstreamHead {
  int status = 0;
  bool http11 = true;
  bool keep_alive = true;
  bool chunked = false;
  std::optional<std::uint64_t> content_length;
  std::vector<HeaderField> headers;
};

// Where a head ends (past its empty line) in `buffer`, 0 when it is not whole yet. `scanned`: bytes known to hold no end, kept by the
// caller.
std::size_t FindHeadEnd(std::string_view buffer, std::size_t& scanned);

// `head` is whole, with its empty line. Reuses the storage of `out`. Errors: kInvalidArgument, or kTooLarge for too many fields.
Result<Nothing> ParseRequestHead(std::string_view head, const HeadLimits& limits, RequestHead& out);
Result<Nothing> ParseResponseHead(std::string_view head, const HeadLimits& limits, UpstreamHead& out);

// First field of that name, case does not matter.
std::optional<std::string_view> FindHeader(std::span<const HeaderField> headers, std::string_view name);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace nereid::net

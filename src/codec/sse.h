// Server-sent events out of a byte stream that may be split anywhere.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace nereid::codec {

// Gathers bytes and gives out whole events (with their blank line) as they were sent.
class SseSplitter {
 public:
  static constexpr std::size_t kEventBytesMax = 16 << 20;

  // Views from Next are void afterwards. An event past the bound is kBadGateway.
  Result<Nothing> Push(std::string_view bytes);
  // The next whole event, its end included; nothing when more bytes are needed.
  std::optional<std::string_view> Next();
  // What is left without an end.
  std::string_view rest() const { return std::string_view(buffer_).substr(taken_); }

 private:
  std::string buffer_;
  std::size_t taken_ = 0, scanned_ = 0;
};

// The text of an event's `data:` line, the first one; empty when there is none. Lines end with LF or CR LF, the space after the colon may
// be missing.
std::string_view SseData(std::string_view event);

}  // namespace nereid::codec

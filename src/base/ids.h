// Request ids: UUIDv7 (RFC 9562), so that they sort by time.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace nereid {

struct RequestId {
  std::array<std::uint8_t, 16> bytes{};

  std::array<char, 36> Digits() const;  // 8-4-4-4-12 lower-case hex
  std::string ToString() const;         // the same
  friend auto operator<=>(const RequestId&, const RequestId&) = default;
};

// Any thread, no system call after a thread's first; unique over threads and restarts.
RequestId NewRequestId(WallTime now);

// `size` bytes from the kernel's random source, for secrets.
std::string RandomBytes(std::size_t size);

}  // namespace nereid

// Times as the admin API speaks them: ISO 8601 in UTC.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace nereid::http {

// "2026-01-31T12:00:00Z", or with six digits after the second when those are not zero: what Python's fromisoformat reads without the Z.
std::string FormatIsoTime(WallTime at);
// Date, 'T' or a space, time with seconds, up to nine digits of a fraction, and 'Z' or an offset such as +02:00. Nothing for anything else,
// a time without zone included.
std::optional<WallTime> ParseIsoTime(std::string_view text);

}  // namespace nereid::http

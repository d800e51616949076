// JSON text, written by hand where a document tree would cost too much.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nereid::json {

// With quotes; bytes that are not UTF-8 become U+FFFD.
void AppendString(std::string& out, std::string_view text);
// Shortest text that reads back the same, as RapidJSON prints it ("1.0", "0.10000000149011612", "1e39"); NaN, Infinity and -Infinity bare.
void AppendDouble(std::string& out, double value);
void AppendInt(std::string& out, std::int64_t value);
void AppendUint(std::string& out, std::uint64_t value);

}  // namespace nereid::json

#include "base/money.h"

#include <fmt/format.h>

namespace nereid {

Result<NanoUsdPerMillion> ParsePricePerMillion(std::string_view text) {
  auto bad = [&] {
    return Error(Code::kInvalidArgument, fmt::format("price '{}' is not decimal USD per million tokens, such as 0.42", text), "bad_price");
  };
  std::int64_t value = 0;
  int digits = 0, after_point = -1;
  for (char c : text) {
    if (c == '.' && after_point < 0) {
      after_point = 0;
      continue;
    }
    ++digits;
    if (after_point >= 0) ++after_point;
    if (c < '0' || c > '9' || digits > 17 || after_point > 9) return bad();
    value = value * 10 + (c - '0');
  }
  if (digits == 0) return bad();
  for (int i = after_point < 0 ? 0 : after_point; i < 9; ++i) {
    if (__builtin_mul_overflow(value, std::int64_t{10}, &value)) return bad();
  }
  return value;
}

std::string FormatUsd(NanoUsd amount, int digits) {
  NEREID_CHECK(digits >= 0 && digits <= 9);
  std::int64_t unit = 1;
  for (int i = digits; i < 9; ++i) unit *= 10;
  std::uint64_t magnitude = amount < 0 ? 0 - static_cast<std::uint64_t>(amount) : static_cast<std::uint64_t>(amount);
  std::uint64_t whole = magnitude / static_cast<std::uint64_t>(unit), rest = magnitude % static_cast<std::uint64_t>(unit);
  if (rest * 2 > static_cast<std::uint64_t>(unit) || (rest * 2 == static_cast<std::uint64_t>(unit) && whole % 2 == 1)) ++whole;
  std::uint64_t scale = 1;
  for (int i = 0; i < digits; ++i) scale *= 10;
  std::string sign = amount < 0 && whole != 0 ? "-" : "";
  return digits == 0 ? fmt::format("{}{}", sign, whole) : fmt::format("{}{}.{:0{}}", sign, whole / scale, whole % scale, digits);
}

}  // namespace nereid

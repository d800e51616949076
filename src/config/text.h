// Values as text, both ways: what the YAML reader, the flags and the printer share.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace nereid::config {

// What a value may be, beyond its type.
struct Rule {
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::vector<std::string_view> allowed;  // empty: any text
  bool required = false;
};
inline Rule Between(std::int64_t min, std::int64_t max) {
  return {.min = min, .max = max};
}
inline Rule AtLeast(std::int64_t min) {
  return {.min = min};
}
inline Rule OneOf(std::vector<std::string_view> allowed) {
  return {.allowed = std::move(allowed)};
}

// Errors say what is allowed, without the place, which the caller knows.
Result<Nothing> FromText(std::string_view text, bool& out, const Rule& rule);
Result<Nothing> FromText(std::string_view text, int& out, const Rule& rule);
Result<Nothing> FromText(std::string_view text, std::int64_t& out, const Rule& rule);
Result<Nothing> FromText(std::string_view text, std::uint64_t& out, const Rule& rule);
Result<Nothing> FromText(std::string_view text, std::string& out, const Rule& rule);
Result<Nothing> FromText(std::string_view text, V2Auth& out, const Rule& rule);
Result<Nothing> FromText(std::string_view text, Durability& out, const Rule& rule);
Result<Nothing> FromText(std::string_view text, ControlMode& out, const Rule& rule);
template <class T>
Result<Nothing> FromText(std::string_view text, std::optional<T>& out, const Rule& rule) {
  T value{};
  TRY_DO(FromText(text, value, rule));
  out = std::move(value);
  return Nothing{};
}

std::string ToText(bool value);
std::string ToText(int value);
std::string ToText(std::int64_t value);
std::string ToText(std::uint64_t value);
std::string ToText(V2Auth value);
std::string ToText(Durability value);
std::string ToText(ControlMode value);
// "0.42" for 420'000'000: all digits that count and no more.
std::string PriceText(NanoUsdPerMillion price);

// The candidate that differs least from `name`; empty when none is near.
std::string_view Nearest(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace nereid::config

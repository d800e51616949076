#include "config/text.h"

#include <array>
#include <charconv>

#include <fmt/ranges.h>

namespace nereid::config {
namespace {

template <class E>
struct Name {
  std::string_view name;
  E value;
};
constexpr std::array<Name<V2Auth>, 3> kV2Auth = {{{"open", V2Auth::kOpen}, {"infer", V2Auth::kInfer}, {"required", V2Auth::kRequired}}};
constexpr std::array<Name<Durability>, 2> kDurability = {{{"relaxed", Durability::kRelaxed}, {"strict", Durability::kStrict}}};
constexpr std::array<Name<ControlMode>, 3> kControl = {
    {{"none", ControlMode::kNone}, {"poll", ControlMode::kPoll}, {"explicit", ControlMode::kExplicit}}};

Status Bad(std::string_view text, std::string_view expected) {
  return {Code::kInvalidArgument, fmt::format("'{}' is not allowed; expected {}", text, expected), "bad_value", {}};
}

template <class T>
Result<Nothing> Integer(std::string_view text, T& out, const Rule& rule) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool fits = error == std::errc{} && end == text.data() + text.size() && !text.empty();
  if (fits && std::cmp_greater_equal(value, rule.min) && std::cmp_less_equal(value, rule.max)) {
    out = value;
    return Nothing{};
  }
  bool no_min = rule.min == std::numeric_limits<std::int64_t>::min(), no_max = rule.max == std::numeric_limits<std::int64_t>::max();
  std::string expected = std::is_unsigned_v<T> ? "a whole number, not negative" : "a whole number";
  if (!no_min && !no_max) expected = fmt::format("a whole number from {} to {}", rule.min, rule.max);
  else if (!no_min) expected = fmt::format("a whole number of at least {}", rule.min);
  return std::unexpected(Bad(text, expected));
}

template <class E, std::size_t N>
Result<Nothing> Named(std::string_view text, const std::array<Name<E>, N>& names, E& out) {
  std::vector<std::string_view> all;
  for (const Name<E>& row : names) {
    if (row.name == text) {
      out = row.value;
      return Nothing{};
    }
    all.push_back(row.name);
  }
  return std::unexpected(Bad(text, fmt::format("one of {}", fmt::join(all, ", "))));
}

template <class E, std::size_t N>
std::string NameOf(E value, const std::array<Name<E>, N>& names) {
  for (const Name<E>& row : names) {
    if (row.value == value) return std::string(row.name);
  }
  Panic("an enumerator without a name", __FILE__, __LINE__);
}

std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

Result<Nothing> FromText(std::string_view text, bool& out, const Rule&) {
  if (text != "true" && text != "false") return std::unexpected(Bad(text, "true or false"));
  out = text == "true";
  return Nothing{};
}
Result<Nothing> FromText(std::string_view text, int& out, const Rule& rule) {
  return Integer(text, out, rule);
}
Result<Nothing> FromText(std::string_view text, std::int64_t& out, const Rule& rule) {
  return Integer(text, out, rule);
}
Result<Nothing> FromText(std::string_view text, std::uint64_t& out, const Rule& rule) {
  return Integer(text, out, rule);
}
Result<Nothing> FromText(std::string_view text, std::string& out, const Rule& rule) {
  if (!rule.allowed.empty() && std::ranges::find(rule.allowed, text) == rule.allowed.end())
    return std::unexpected(Bad(text, fmt::format("one of {}", fmt::join(rule.allowed, ", "))));
  if (rule.required && text.empty()) return std::unexpected(Bad(text, "a text that is not empty"));
  out = text;
  return Nothing{};
}
Result<Nothing> FromText(std::string_view text, V2Auth& out, const Rule&) {
  return Named(text, kV2Auth, out);
}
Result<Nothing> FromText(std::string_view text, Durability& out, const Rule&) {
  return Named(text, kDurability, out);
}
Result<Nothing> FromText(std::string_view text, ControlMode& out, const Rule&) {
  return Named(text, kControl, out);
}

std::string ToText(bool value) {
  return value ? "true" : "false";
}
std::string ToText(int value) {
  return fmt::format("{}", value);
}
std::string ToText(std::int64_t value) {
  return fmt::format("{}", value);
}
std::string ToText(std::uint64_t value) {
  return fmt::format("{}", value);
}
std::string ToText(V2Auth value) {
  return NameOf(value, kV2Auth);
}
std::string ToText(Durability value) {
  return NameOf(value, kDurability);
}
std::string ToText(ControlMode value) {
  return NameOf(value, kControl);
}

std::string PriceText(NanoUsdPerMillion price) {
  std::string text = FormatUsd(price, 9);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string_view Nearest(std::string_view name, std::span<const std::string_view> candidates) {
  std::string_view best;
  std::size_t least = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (std::string_view candidate : candidates) {
    if (std::size_t distance = Distance(name, candidate); distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace nereid::config

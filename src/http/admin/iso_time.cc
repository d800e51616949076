#include "http/admin/iso_time.h"

#include <fmt/format.h>

namespace nereid::http {
namespace {

namespace chr = std::chrono;

// Reads fixed-width parts off the front of a text.
class Parts {
 public:
  explicit Parts(std::string_view text) : text_(text) {}
  bool good() const { return good_; }
  bool empty() const { return text_.empty(); }

  int Digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      char c = Take();
      if (c < '0' || c > '9') good_ = false;
      value = value * 10 + (c - '0');
    }
    return good_ ? value : 0;
  }
  void Expect(std::string_view one_of) {
    if (one_of.find(Take()) == std::string_view::npos) good_ = false;
  }
  bool Skip(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  char Take() {
    if (text_.empty()) {
      good_ = false;
      return 'x';
    }
    char c = text_[0];
    text_.remove_prefix(1);
    return c;
  }
  // Nanoseconds of the digits after the point.
  std::int64_t Fraction() {
    std::int64_t value = 0;
    int digits = 0;
    while (!text_.empty() && text_[0] >= '0' && text_[0] <= '9') {
      value = value * 10 + (Take() - '0');
      if (++digits > 9) {
        good_ = false;
        return 0;
      }
    }
    if (digits == 0) good_ = false;
    for (; digits < 9; ++digits) value *= 10;
    return value;
  }

 private:
  std::string_view text_;
  bool good_ = true;
};

}  // namespace

std::string FormatIsoTime(WallTime at) {
  auto micros = chr::floor<Micros>(at.time_since_epoch());
  auto days = chr::floor<chr::days>(micros);
  chr::year_month_day date{chr::sys_days(days)};
  auto rest = (micros - days).count();
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                                 static_cast<unsigned>(date.day()), rest / 3'600'000'000, rest / 60'000'000 % 60, rest / 1'000'000 % 60);
  if (rest % 1'000'000 != 0) text += fmt::format(".{:06}", rest % 1'000'000);
  return text + "Z";
}

std::optional<WallTime> ParseIsoTime(std::string_view text) {
  Parts parts(text);
  int year = parts.Digits(4);
  parts.Expect("-");
  int month = parts.Digits(2);
  parts.Expect("-");
  int day = parts.Digits(2);
  parts.Expect("Tt ");
  int hour = parts.Digits(2);
  parts.Expect(":");
  int minute = parts.Digits(2);
  parts.Expect(":");
  int second = parts.Digits(2);
  std::int64_t nanos = parts.Skip('.') ? parts.Fraction() : 0;
  int offset_minutes = 0;
  char zone = parts.Take();
  if (zone == '+' || zone == '-') {
    int hours = parts.Digits(2);
    parts.Skip(':');
    int minutes = parts.Digits(2);
    if (hours > 23 || minutes > 59) return std::nullopt;
    offset_minutes = (zone == '+' ? 1 : -1) * (hours * 60 + minutes);
  } else if (zone != 'Z' && zone != 'z') {
    return std::nullopt;
  }
  chr::year_month_day date{chr::year{year}, chr::month{static_cast<unsigned>(month)}, chr::day{static_cast<unsigned>(day)}};
  if (!parts.good() || !parts.empty() || !date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  // Nanoseconds since 1970 in 64 bits end in 2262.
  if (year < 1970 || year > 2261) return std::nullopt;
  auto since = chr::sys_days{date}.time_since_epoch() + chr::hours(hour) + chr::minutes(minute - offset_minutes) + chr::seconds(second) +
               Nanos(nanos);
  return WallTime(chr::duration_cast<WallTime::duration>(since));
}

}  // namespace nereid::http

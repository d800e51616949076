#include "codec/json_reader.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

namespace nereid::json {
namespace {

constexpr std::string_view kTooDeep = "JSON nesting depth exceeds maximum allowed limit (100)";

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// The first byte in [p, end) that ends or interrupts the plain text of a string: a quote, a backslash or a control character.
const char* PlainEnd(const char* p, const char* end) {
#ifdef __SSE2__
  for (; end - p >= 16; p += 16) {
    __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    __m128i stops = _mm_or_si128(_mm_cmpeq_epi8(text, _mm_set1_epi8('"')), _mm_cmpeq_epi8(text, _mm_set1_epi8('\\')));
    // Unsigned: the smaller of text and 0x1f is text.
    stops = _mm_or_si128(stops, _mm_cmpeq_epi8(_mm_min_epu8(text, _mm_set1_epi8(0x1f)), text));
    if (int bits = _mm_movemask_epi8(stops); bits != 0) return p + std::countr_zero(static_cast<unsigned>(bits));
  }
#endif
  while (p < end && *p != '"' && *p != '\\' && static_cast<unsigned char>(*p) >= 0x20) ++p;
  return p;
}

void AppendUtf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

}  // namespace

bool Reader::Fail(std::string_view what, const char* where) {
  if (error_.empty()) {
    error_ = what;
    offset_ = static_cast<std::size_t>(where - begin_);
  }
  return false;
}

std::string Reader::Problem() const {
  return fmt::format("{} at {}", error_, offset_);
}

Reader::Type Reader::Peek() {
  SkipSpace();
  if (at_ == end_) return Type::kEnd;
  switch (*at_) {
    case '{': return Type::kObject;
    case '[': return Type::kArray;
    case '"': return Type::kString;
    case 't':
    case 'f': return Type::kBool;
    case 'n': return Type::kNull;
    case '-':
    case 'N':
    case 'I': return Type::kNumber;
    default: return IsDigit(*at_) ? Type::kNumber : Type::kInvalid;
  }
}

bool Reader::Deeper() {
  if (++depth_ <= kDepthMax) return true;
  too_deep_ = true;
  return any_depth_ || Fail(kTooDeep);
}

bool Reader::EnterObject() {
  SkipSpace();
  if (at_ == end_ || *at_ != '{') return Fail("Invalid value.");
  if (!Deeper()) return false;
  ++at_;
  first_ = true;
  return true;
}

bool Reader::EnterArray() {
  SkipSpace();
  if (at_ == end_ || *at_ != '[') return Fail("Invalid value.");
  if (!Deeper()) return false;
  ++at_;
  first_ = true;
  return true;
}

bool Reader::AtMember() {
  if (!ok()) return false;
  SkipSpace();
  if (std::exchange(first_, false)) {
    if (at_ < end_ && *at_ == '}') {
      ++at_;
      --depth_;
      return false;
    }
  } else if (at_ < end_ && *at_ == '}') {
    ++at_;
    --depth_;
    return false;
  } else if (at_ < end_ && *at_ == ',') {
    ++at_;
    SkipSpace();
  } else {
    return Fail("Missing a comma or } after an object member.");
  }
  return (at_ < end_ && *at_ == '"') || Fail("Missing a name for object member.");
}

bool Reader::NextMember(std::string& key) {
  return AtMember() && ReadString(key) && PastColon();
}

bool Reader::PastColon() {
  SkipSpace();
  if (at_ == end_ || *at_ != ':') return Fail("Missing a colon after a name of object member.");
  ++at_;
  return true;
}

bool Reader::NextElement() {
  if (!ok()) return false;
  SkipSpace();
  if (std::exchange(first_, false)) {
    if (at_ < end_ && *at_ == ']') {
      ++at_;
      --depth_;
      return false;
    }
    return true;
  }
  if (at_ < end_ && *at_ == ']') {
    ++at_;
    --depth_;
    return false;
  }
  if (at_ == end_ || *at_ != ',') return Fail("Missing a comma or ] after an array element.");
  ++at_;
  return true;
}

bool Reader::Hex4(unsigned& out) {
  if (end_ - at_ < 4) return Fail("Incorrect hex digit after \\u escape in string.");
  auto [end, error] = std::from_chars(at_, at_ + 4, out, 16);
  if (error != std::errc() || end != at_ + 4) return Fail("Incorrect hex digit after \\u escape in string.");
  at_ += 4;
  return true;
}

bool Reader::ReadString(std::string& out) {
  SkipSpace();
  if (at_ == end_ || *at_ != '"') return Fail("Invalid value.");
  const char* quote = at_++;
  const char* plain = at_;
  at_ = PlainEnd(at_, end_);
  out.assign(plain, at_);
  for (;; plain = at_, at_ = PlainEnd(at_, end_), out.append(plain, at_)) {
    if (at_ == end_) return Fail("Missing a closing quotation mark in string.", quote);
    if (*at_ == '"') {
      ++at_;
      return true;
    }
    if (*at_ != '\\') return Fail("Invalid encoding in string.");
    if (++at_ == end_) return Fail("Missing a closing quotation mark in string.", quote);
    char c = *at_++;
    switch (c) {
      case '"':
      case '\\':
      case '/': out += c; break;
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'u': {
        const char* escape = at_ - 2;
        unsigned code = 0;
        if (!Hex4(code)) return false;
        if (code >= 0xd800 && code < 0xe000) {
          unsigned low = 0;
          if (code >= 0xdc00 || end_ - at_ < 6 || at_[0] != '\\' || at_[1] != 'u')
            return Fail("The surrogate pair in string is invalid.", escape);
          at_ += 2;
          if (!Hex4(low)) return false;
          if (low < 0xdc00 || low > 0xdfff) return Fail("The surrogate pair in string is invalid.", escape);
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        AppendUtf8(out, code);
        break;
      }
      default: return Fail("Invalid escape character in string.", at_ - 2);
    }
  }
}

bool Reader::SkipString() {
  // Most strings have no escapes: they are passed over without being copied. One that has is read properly.
  if (const char* end = PlainEnd(at_ + 1, end_); end < end_ && *end == '"') {
    at_ = end + 1;
    return true;
  }
  std::string ignored;
  return ReadString(ignored);
}

bool Reader::Literal(std::string_view word) {
  if (static_cast<std::size_t>(end_ - at_) < word.size() || std::string_view(at_, word.size()) != word) return Fail("Invalid value.");
  at_ += word.size();
  return true;
}

bool Reader::ReadBool(bool& out) {
  SkipSpace();
  if (at_ == end_) return Fail("Invalid value.");
  out = *at_ == 't';
  return Literal(out ? "true" : "false");
}

bool Reader::SkipNumber() {
  if (at_ < end_ && *at_ == '-') ++at_;
  if (at_ == end_) return Fail("Invalid value.");
  if (*at_ == 'N') return Literal("NaN");
  if (*at_ == 'I')
    return static_cast<std::size_t>(end_ - at_) >= 8 && std::string_view(at_, 8) == "Infinity" ? Literal("Infinity") : Literal("Inf");
  if (*at_ == '0') {
    ++at_;
  } else if (IsDigit(*at_)) {
    while (at_ < end_ && IsDigit(*at_)) ++at_;
  } else {
    return Fail("Invalid value.");
  }
  if (at_ < end_ && *at_ == '.') {
    ++at_;
    if (at_ == end_ || !IsDigit(*at_)) return Fail("Miss fraction part in number.");
    while (at_ < end_ && IsDigit(*at_)) ++at_;
  }
  if (at_ < end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    if (at_ < end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    if (at_ == end_ || !IsDigit(*at_)) return Fail("Miss exponent in number.");
    while (at_ < end_ && IsDigit(*at_)) ++at_;
  }
  return true;
}

Reader::Number Reader::ReadNumber(std::int64_t& as_int, std::uint64_t& as_uint, double& as_double) {
  if (Peek() != Type::kNumber) return Number::kNone;
  const char* from = at_;
  if (!SkipNumber()) return Number::kNone;
  std::string_view text(from, static_cast<std::size_t>(at_ - from));
  if (text.find_first_of(".eEIN") == std::string_view::npos) {
    if (text.front() != '-') {
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), as_uint);
      if (error == std::errc()) {
        as_int = static_cast<std::int64_t>(as_uint);
        as_double = static_cast<double>(as_uint);
        return as_uint <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ? Number::kInt : Number::kUint;
      }
    } else {
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), as_int);
      if (error == std::errc()) {
        as_double = static_cast<double>(as_int);
        return Number::kInt;
      }
    }
  }
  bool negative = text.front() == '-';
  std::string_view magnitude = negative ? text.substr(1) : text;
  if (magnitude == "NaN") {
    as_double = std::numeric_limits<double>::quiet_NaN();
  } else if (magnitude.front() == 'I') {
    as_double = std::numeric_limits<double>::infinity();
  } else {
    auto [end, error] = std::from_chars(magnitude.data(), magnitude.data() + magnitude.size(), as_double);
    if (error == std::errc::result_out_of_range) {
      // from_chars does not say on which side; an exponent below zero underflows.
      std::size_t e = magnitude.find_first_of("eE");
      bool small = e != std::string_view::npos && e + 1 < magnitude.size() && magnitude[e + 1] == '-';
      if (!small) {
        Fail("Number too big to be stored in double.", from);
        return Number::kNone;
      }
      as_double = 0;
    }
  }
  if (negative) as_double = -as_double;
  return Number::kDouble;
}

bool Reader::SkipScalar() {
  switch (Peek()) {
    case Type::kString: return SkipString();
    case Type::kNumber: return SkipNumber();
    case Type::kBool: {
      bool ignored;
      return ReadBool(ignored);
    }
    case Type::kNull: return Literal("null");
    case Type::kObject:
    case Type::kArray:
    case Type::kEnd:
    case Type::kInvalid: break;
  }
  return Fail("Invalid value.");
}

// Without recursion: Check looks at values of any depth.
bool Reader::Skip() {
  std::string open;  // what was entered: '{' and '['
  for (;;) {
    Type type = Peek();
    if (type == Type::kObject || type == Type::kArray) {
      if (!(type == Type::kObject ? EnterObject() : EnterArray())) return false;
      open += type == Type::kObject ? '{' : '[';
    } else if (!SkipScalar()) {
      return false;
    }
    while (!open.empty() && !(open.back() == '{' ? AtMember() && SkipString() && PastColon() : NextElement())) {
      if (!ok()) return false;
      open.pop_back();
    }
    if (open.empty()) return ok();
  }
}

bool Reader::Finish() {
  if (!ok()) return false;
  SkipSpace();
  return at_ == end_ ? true : Fail("The document root must not be followed by other values.");
}

std::optional<std::string> Reader::Check(std::string_view text, bool* too_deep) {
  Reader reader(text);
  reader.any_depth_ = true;  // what is no JSON is said to be none, however deep
  if (reader.Peek() == Type::kEnd) return "The document is empty. at 0";
  if (!reader.Skip() || !reader.Finish()) return reader.Problem();
  if (!reader.too_deep_) return std::nullopt;
  if (too_deep) *too_deep = true;
  return std::string(kTooDeep);
}

}  // namespace nereid::json

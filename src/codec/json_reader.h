// A pull reader for JSON: one pass, no tree. Accepts the bare tokens NaN, Infinity and -Infinity, which KServe clients send, and says what
// is wrong in RapidJSON's words, which they expect.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace nereid::json {

class Reader {
 public:
  static constexpr int kDepthMax = 100;

  enum class Type : std::uint8_t { kObject, kArray, kString, kNumber, kBool, kNull, kEnd, kInvalid };

  explicit Reader(std::string_view text) : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {}

  // Of the next value; white space is passed over.
  Type Peek();
  // Where the next value starts.
  const char* at() {
    SkipSpace();
    return at_;
  }

  // Just past what was read or skipped last.
  const char* at_now() const { return at_; }

  // while (reader.NextMember(key)) { read or Skip the value } ; false at the closing brace or on an error: look at ok().
  bool EnterObject();
  bool NextMember(std::string& key);
  bool EnterArray();
  bool NextElement();

  bool ReadString(std::string& out);
  bool ReadBool(bool& out);
  // The next value as number: false, without an error, when it is none that fits.
  enum class Number : std::uint8_t { kInt, kUint, kDouble, kNone };
  Number ReadNumber(std::int64_t& as_int, std::uint64_t& as_uint, double& as_double);
  bool Skip();  // any value

  // After the root value: nothing but white space may follow.
  bool Finish();

  bool ok() const { return error_.empty(); }
  bool too_deep() const { return too_deep_; }
  // "Invalid value. at 12"
  std::string Problem() const;

  // Whether `text` is one JSON value; the problem otherwise. Values that nest too deep are one too: a mistake in their text goes first.
  static std::optional<std::string> Check(std::string_view text, bool* too_deep = nullptr);

 private:
  void SkipSpace() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  bool Fail(std::string_view what) { return Fail(what, at_); }
  bool Fail(std::string_view what, const char* where);
  bool Literal(std::string_view word);
  bool Hex4(unsigned& out);
  bool Deeper();
  bool AtMember();   // at the name of the next member
  bool PastColon();  // after a member's name
  bool SkipNumber();
  bool SkipScalar();
  bool SkipString();

  const char* begin_;
  const char* at_;
  const char* end_;
  int depth_ = 0;
  bool first_ = false;  // the next element or member is the first of its container
  bool too_deep_ = false, any_depth_ = false;
  std::string error_;
  std::size_t offset_ = 0;
};

}  // namespace nereid::json

// One pass over the top-level members of a JSON object, unescaped, so that no spelling of a name slips past: "mod\u0065l" is "model".
#pragma once

#include <string_view>

#include "base/status.h"
#include "codec/json_reader.h"

namespace nereid::json {

// Calls `member(reader, key)` for each top-level member; it reads or skips the value and answers what went wrong. The whole text is
// checked. Errors: kInvalidArgument with the position.
template <class F>
Result<Nothing> EachMember(std::string_view text, F member) {
  auto broken = [](const Reader& reader) {
    return Error(Code::kInvalidArgument, "the body is not valid JSON: " + reader.Problem(), "malformed_json");
  };
  Reader reader(text);
  if (reader.Peek() == Reader::Type::kEnd)
    return Error(Code::kInvalidArgument, "the body is empty; a JSON object is needed", "malformed_json");
  if (reader.Peek() != Reader::Type::kObject) {
    if (!reader.Skip() || !reader.Finish()) return broken(reader);
    return Error(Code::kInvalidArgument, "the body is not a JSON object", "malformed_json");
  }
  reader.EnterObject();
  std::string key;
  while (reader.NextMember(key)) {
    TRY_DO(member(reader, static_cast<const std::string&>(key)));
    if (!reader.ok()) return broken(reader);
  }
  if (!reader.ok() || !reader.Finish()) return broken(reader);
  return Nothing{};
}

}  // namespace nereid::json

#include "protocol/openai/locate.h"

#include <fmt/format.h>

#include "codec/locate.h"

namespace nereid::openai {
namespace {

using json::Reader;
using Type = Reader::Type;

enum Field : unsigned {
  kModel = 1,
  kStream = 2,
  kStreamOptions = 4,
  kMaxTokens = 8,
  kMaxCompletionTokens = 16,
  kMaxOutputTokens = 32,
  kN = 64,
  kServiceTier = 128,
  kUser = 256
};

struct Row {
  std::string_view name;
  Field field;
};
constexpr Row kRows[] = {{"model", kModel},
                         {"stream", kStream},
                         {"stream_options", kStreamOptions},
                         {"max_tokens", kMaxTokens},
                         {"max_completion_tokens", kMaxCompletionTokens},
                         {"max_output_tokens", kMaxOutputTokens},
                         {"n", kN},
                         {"service_tier", kServiceTier},
                         {"user", kUser}};

std::unexpected<Status> Bad(std::string_view field, std::string_view what) {
  return Error(Code::kInvalidArgument, fmt::format("'{}' {}", field, what), "invalid_value", std::string(field));
}

Result<std::int64_t> ReadCount(Reader& reader, std::string_view field, std::int64_t least) {
  std::int64_t i = 0;
  std::uint64_t u = 0;
  double d = 0;
  if (reader.Peek() != Type::kNumber || reader.ReadNumber(i, u, d) != Reader::Number::kInt || i < least)
    return Bad(field, fmt::format("must be an integer of at least {}", least));
  return i;
}

Result<Nothing> ReadStreamOptions(Reader& reader, LocatedFields& out) {
  if (reader.Peek() != Type::kObject) return Bad("stream_options", "must be an object");
  reader.EnterObject();
  std::string key;
  while (reader.NextMember(key)) {
    if (key != "include_usage") {
      if (!reader.Skip()) break;
      continue;
    }
    if (reader.Peek() != Type::kBool || !reader.ReadBool(out.include_usage))
      return Bad("stream_options.include_usage", "must be true or false");
  }
  return Nothing{};
}

}  // namespace

Result<LocatedFields> Locate(std::string_view body) {
  LocatedFields out;
  unsigned seen = 0;
  auto member = [&](Reader& reader, const std::string& key) -> Result<Nothing> {
    const Row* row = nullptr;
    for (const Row& each : kRows) {
      if (each.name == key) row = &each;
    }
    if (!row) {
      reader.Skip();
      return Nothing{};
    }
    if (seen & row->field) return Bad(row->name, "is given twice");
    seen |= row->field;
    auto begin = static_cast<std::size_t>(reader.at() - body.data());
    Type type = reader.Peek();
    if (type == Type::kNull && row->field != kModel) {  // null is as good as absent
      reader.Skip();
      if (row->field == kStreamOptions) out.stream_options_begin = begin, out.stream_options_end = begin + 4;
      return Nothing{};
    }
    auto here = [&] { return static_cast<std::size_t>(reader.at_now() - body.data()); };
    switch (row->field) {
      case kModel:
        if (type != Type::kString) return Bad("model", "must be a string");
        if (reader.ReadString(out.model)) out.model_begin = begin, out.model_end = here();
        return Nothing{};
      case kStream:
        if (type != Type::kBool) return Bad("stream", "must be true or false");
        reader.ReadBool(out.stream);
        return Nothing{};
      case kStreamOptions:
        TRY_DO(ReadStreamOptions(reader, out));
        out.stream_options_begin = begin;
        out.stream_options_end = here();
        return Nothing{};
      case kMaxTokens:
      case kMaxCompletionTokens:
      case kMaxOutputTokens: {
        TRY(std::int64_t count, ReadCount(reader, row->name, 0));
        out.max_tokens = std::min(out.max_tokens.value_or(count), count);
        return Nothing{};
      }
      case kN: {
        TRY(std::int64_t n, ReadCount(reader, "n", 1));
        if (n > 128) return Bad("n", "must be at most 128");
        out.n = static_cast<int>(n);
        return Nothing{};
      }
      case kServiceTier:
      case kUser: {
        if (type != Type::kString) return Bad(row->name, "must be a string");
        reader.ReadString(row->field == kUser ? out.user : out.service_tier);
        return Nothing{};
      }
    }
    return Nothing{};
  };
  TRY_DO(json::EachMember(body, member));
  if (!(seen & kModel)) return Error(Code::kInvalidArgument, "you must provide a 'model' parameter", "invalid_value", "model");
  if (out.model.empty()) return Bad("model", "must not be empty");
  out.insert_at = body.find('{') + 1;
  return out;
}

Spliced SpliceRequest(std::string_view body, const LocatedFields& fields, std::string_view model_json) {
  static constexpr std::string_view kOption = R"({"include_usage":true})";
  static constexpr std::string_view kMember = R"("stream_options":{"include_usage":true},)";
  // Up to three places, in the order in which they stand in the body.
  struct Edit {
    std::size_t begin, end;
    std::string_view text;
  };
  Edit edits[2];
  std::size_t count = 0;
  edits[count++] = {fields.model_begin, fields.model_end, model_json};
  if (fields.stream && !fields.include_usage) {
    if (fields.stream_options_end > 0) edits[count++] = {fields.stream_options_begin, fields.stream_options_end, kOption};
    else edits[count++] = {fields.insert_at, fields.insert_at, kMember};
    if (edits[1].begin < edits[0].begin) std::swap(edits[0], edits[1]);
  }
  Spliced out;
  std::size_t at = 0;
  auto add = [&](std::string_view piece) {
    out.pieces[out.count++] = piece;
    out.bytes += piece.size();
  };
  for (std::size_t i = 0; i < count; ++i) {
    add(body.substr(at, edits[i].begin - at));
    add(edits[i].text);
    at = edits[i].end;
  }
  add(body.substr(at));
  return out;
}

}  // namespace nereid::openai

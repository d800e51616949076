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

// Remembers where include_usage can be switched on, whatever else the options hold.
Result<Nothing> ReadStreamOptions(Reader& reader, std::string_view body, LocatedFields& out) {
  if (reader.Peek() != Type::kObject) return Bad("stream_options", "must be an object");
  auto offset = [&](const char* at) { return static_cast<std::size_t>(at - body.data()); };
  reader.EnterObject();
  std::size_t inside = offset(reader.at_now());
  bool empty = true, seen = false;
  std::string key;
  while (reader.NextMember(key)) {
    empty = false;
    if (key != "include_usage") {
      if (!reader.Skip()) return Nothing{};
      continue;
    }
    if (std::exchange(seen, true)) return Bad("stream_options.include_usage", "is given twice");
    out.usage_option_begin = offset(reader.at());
    if (reader.Peek() != Type::kBool || !reader.ReadBool(out.include_usage))
      return Bad("stream_options.include_usage", "must be true or false");
    out.usage_option_end = offset(reader.at_now());
    out.usage_option = "true";
  }
  if (!seen) {
    out.usage_option_begin = out.usage_option_end = inside;
    out.usage_option = empty ? R"("include_usage":true)" : R"("include_usage":true,)";
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
      if (row->field == kStreamOptions) {
        out.usage_option_begin = begin;
        out.usage_option_end = begin + 4;
        out.usage_option = R"({"include_usage":true})";
      }
      return Nothing{};
    }
    switch (row->field) {
      case kModel:
        if (type != Type::kString) return Bad("model", "must be a string");
        if (reader.ReadString(out.model)) {
          out.model_begin = begin;
          out.model_end = static_cast<std::size_t>(reader.at_now() - body.data());
        }
        return Nothing{};
      case kStream:
        if (type != Type::kBool) return Bad("stream", "must be true or false");
        reader.ReadBool(out.stream);
        return Nothing{};
      case kStreamOptions: return ReadStreamOptions(reader, body, out);
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
  if (out.usage_option.empty()) {
    out.usage_option_begin = out.usage_option_end = body.find('{') + 1;
    out.usage_option = R"("stream_options":{"include_usage":true},)";
  }
  return out;
}

Spliced SpliceRequest(std::string_view body, const LocatedFields& fields, std::string_view model_json) {
  // In the order in which they stand in the body.
  struct Edit {
    std::size_t begin, end;
    std::string_view text;
  };
  Edit edits[2];
  std::size_t count = 0;
  edits[count++] = {fields.model_begin, fields.model_end, model_json};
  if (fields.stream && !fields.include_usage) {
    edits[count++] = {fields.usage_option_begin, fields.usage_option_end, fields.usage_option};
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

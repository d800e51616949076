#include "protocol/openai/usage_scan.h"

#include "codec/locate.h"

namespace nereid::openai {
namespace {

using json::Reader;
using Type = Reader::Type;

// Nothing when it is not a whole number of at least 0.
std::optional<std::int64_t> Count(Reader& reader) {
  std::int64_t i = 0;
  std::uint64_t u = 0;
  double d = 0;
  if (reader.Peek() == Type::kNumber) {
    if (reader.ReadNumber(i, u, d) == Reader::Number::kInt && i >= 0) return i;
    return std::nullopt;
  }
  reader.Skip();
  return std::nullopt;
}

// One count out of a details object.
void Details(Reader& reader, std::string_view name, std::int64_t& cached, std::string_view second = {}, std::int64_t* written = nullptr) {
  if (reader.Peek() != Type::kObject) {
    reader.Skip();
    return;
  }
  reader.EnterObject();
  std::string key;
  while (reader.NextMember(key)) {
    if (key == name) cached = Count(reader).value_or(0);
    else if (written && key == second) *written = Count(reader).value_or(0);
    else if (!reader.Skip()) return;
  }
}

void ReadUsage(Reader& reader, Scanned& out) {
  if (reader.Peek() != Type::kObject) {
    reader.Skip();
    return;
  }
  reader.EnterObject();
  std::string key;
  std::optional<std::int64_t> prompt, completion = 0;  // an answer without output (embeddings) has no completion_tokens
  TokenUsage usage;
  while (reader.NextMember(key)) {
    if (key == "prompt_tokens") prompt = Count(reader);
    else if (key == "completion_tokens") completion = Count(reader);
    else if (key == "prompt_tokens_details") Details(reader, "cached_tokens", usage.cache_read, "cache_write_tokens", &usage.cache_write);
    else if (key == "completion_tokens_details") Details(reader, "reasoning_tokens", usage.reasoning);
    else if (!reader.Skip()) return;
  }
  if (!prompt || !completion) return;  // nothing that could be billed exactly
  // Cached and reasoning tokens are inside the totals here; our classes are disjoint.
  usage.cache_read = std::min(usage.cache_read, *prompt);
  usage.cache_write = std::min(usage.cache_write, *prompt - usage.cache_read);
  usage.reasoning = std::min(usage.reasoning, *completion);
  usage.input = *prompt - usage.cache_read - usage.cache_write;
  usage.output = *completion - usage.reasoning;
  out.usage = usage;
}

}  // namespace

std::optional<Scanned> Scan(std::string_view text) {
  Scanned out;
  auto done = json::EachMember(text, [&](Reader& reader, const std::string& key) -> Result<Nothing> {
    if (key == "usage") {
      ReadUsage(reader, out);
    } else if (key == "model" && reader.Peek() == Type::kString) {
      out.model_begin = static_cast<std::size_t>(reader.at() - text.data());
      reader.Skip();
      out.model_end = static_cast<std::size_t>(reader.at_now() - text.data());
    } else if (key == "choices" && reader.Peek() == Type::kArray) {
      const char* from = reader.at();
      reader.Skip();
      std::string_view array(from, static_cast<std::size_t>(reader.at_now() - from));
      out.empty_choices = array.find_first_not_of("[] \t\r\n") == std::string_view::npos;
    } else if (key == "error") {
      out.has_error = reader.Peek() != Type::kNull;
      reader.Skip();
    } else {
      reader.Skip();
    }
    return Nothing{};
  });
  if (!done) return std::nullopt;
  return out;
}

}  // namespace nereid::openai

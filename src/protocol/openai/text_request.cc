#include "protocol/openai/text_request.h"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace nereid::openai {
namespace {

namespace bj = boost::json;

std::unexpected<Status> Bad(std::string_view field, std::string_view what) {
  return Error(Code::kInvalidArgument, fmt::format("'{}' {}", field, what), "invalid_value", std::string(field));
}
std::unexpected<Status> Unsupported(std::string_view field) {
  return Error(Code::kInvalidArgument, fmt::format("'{}' is not supported by this model", field), "unsupported_parameter",
               std::string(field));
}

Result<bj::object> Document(std::string_view body) {
  boost::system::error_code error;
  bj::value value = bj::parse(bj::string_view(body.data(), body.size()), error);
  if (error || !value.is_object()) return Error(Code::kInvalidArgument, "the body is not a JSON object", "malformed_json");
  return std::move(value.as_object());
}

// The member, unless it is absent or null.
const bj::value* Find(const bj::object& object, std::string_view name) {
  const bj::value* value = object.if_contains(bj::string_view(name.data(), name.size()));
  return value && !value->is_null() ? value : nullptr;
}

Result<Nothing> ReadNumber(const bj::object& object, std::string_view name, double least, double most, double& out) {
  const bj::value* value = Find(object, name);
  if (!value) return Nothing{};
  boost::system::error_code error;
  if (!value->is_number()) return Bad(name, "must be a number");
  double number = value->to_number<double>(error);
  if (error || !(number >= least && number <= most)) return Bad(name, fmt::format("must be a number from {} to {}", least, most));
  out = number;
  return Nothing{};
}

Result<Nothing> ReadCommon(const bj::object& object, TextRequest& out) {
  TRY_DO(ReadNumber(object, "temperature", 0, 2, out.sampling.temperature));
  TRY_DO(ReadNumber(object, "top_p", 0, 1, out.sampling.top_p));
  TRY_DO(ReadNumber(object, "min_p", 0, 1, out.sampling.min_p));
  TRY_DO(ReadNumber(object, "frequency_penalty", -2, 2, out.sampling.frequency_penalty));
  TRY_DO(ReadNumber(object, "presence_penalty", -2, 2, out.sampling.presence_penalty));
  TRY_DO(ReadNumber(object, "repeat_penalty", 0, 10, out.sampling.repeat_penalty));
  double top_k = 0, n = 1, seed = -1;
  TRY_DO(ReadNumber(object, "top_k", 0, 1'000'000, top_k));
  out.sampling.top_k = static_cast<int>(top_k);
  TRY_DO(ReadNumber(object, "n", 1, 128, n));
  out.n = static_cast<int>(n);
  if (Find(object, "seed")) {
    TRY_DO(ReadNumber(object, "seed", -9e15, 9e15, seed));
    out.sampling.seed = static_cast<std::uint64_t>(static_cast<std::int64_t>(seed));
  }
  for (std::string_view name : {"max_tokens", "max_completion_tokens"}) {
    if (!Find(object, name)) continue;
    double most = 0;
    TRY_DO(ReadNumber(object, name, 0, 1e12, most));
    auto tokens = static_cast<std::int64_t>(most);
    out.max_tokens = std::min(out.max_tokens.value_or(tokens), tokens);
  }
  if (const bj::value* stop = Find(object, "stop")) {
    if (stop->is_string()) {
      out.stop.emplace_back(stop->as_string().c_str(), stop->as_string().size());
    } else if (stop->is_array()) {
      for (const bj::value& each : stop->as_array()) {
        if (!each.is_string()) return Bad("stop", "must be a string or a list of strings");
        out.stop.emplace_back(each.as_string().c_str(), each.as_string().size());
      }
    } else {
      return Bad("stop", "must be a string or a list of strings");
    }
    if (out.stop.size() > 16) return Bad("stop", "may hold at most 16 strings");
  }
  if (const bj::value* bias = Find(object, "logit_bias")) {
    if (!bias->is_object()) return Bad("logit_bias", "must be an object of token ids and numbers");
    for (const auto& [token, value] : bias->as_object()) {
      boost::system::error_code error;
      char* end = nullptr;
      std::string text(token.data(), token.size());
      long id = std::strtol(text.c_str(), &end, 10);
      if (text.empty() || *end != '\0' || id < 0 || id > INT32_MAX || !value.is_number())
        return Bad("logit_bias", "must be an object of token ids and numbers");
      out.sampling.logit_bias.emplace_back(static_cast<std::int32_t>(id), static_cast<float>(value.to_number<double>(error)));
    }
  }
  if (const bj::value* ignore = Find(object, "ignore_eos")) {
    if (!ignore->is_bool()) return Bad("ignore_eos", "must be true or false");
    out.ignore_eos = ignore->as_bool();
  }
  return Nothing{};
}

Result<std::string> ReadContent(const bj::value& content, std::size_t index) {
  std::string where = fmt::format("messages[{}].content", index);
  if (content.is_string()) return std::string(content.as_string().c_str(), content.as_string().size());
  if (!content.is_array()) return Bad(where, "must be a string or a list of parts");
  std::string text;
  for (const bj::value& part : content.as_array()) {
    if (!part.is_object()) return Bad(where, "must hold objects");
    const bj::value* type = Find(part.as_object(), "type");
    if (!type || !type->is_string()) return Bad(where, "has a part without a type");
    if (type->as_string() != "text")
      return Unsupported(fmt::format("{}.type: {}", where, std::string_view(type->as_string().data(), type->as_string().size())));
    const bj::value* value = Find(part.as_object(), "text");
    if (!value || !value->is_string()) return Bad(where, "has a text part without text");
    text.append(value->as_string().data(), value->as_string().size());
  }
  return text;
}

Result<ChatMessage> ReadMessage(const bj::value& value, std::size_t index) {
  if (!value.is_object()) return Bad(fmt::format("messages[{}]", index), "must be an object");
  const bj::object& object = value.as_object();
  ChatMessage message;
  const bj::value* role = Find(object, "role");
  if (!role || !role->is_string()) return Bad(fmt::format("messages[{}].role", index), "must be a string");
  message.role = std::string(role->as_string().c_str(), role->as_string().size());
  static constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};
  if (std::find(std::begin(kRoles), std::end(kRoles), message.role) == std::end(kRoles))
    return Bad(fmt::format("messages[{}].role", index),
               fmt::format("is '{}'; it must be system, developer, user, assistant or tool", message.role));
  if (message.role == "developer") message.role = "system";
  if (Find(object, "tool_calls")) return Unsupported(fmt::format("messages[{}].tool_calls", index));
  const bj::value* content = Find(object, "content");
  if (!content) return Bad(fmt::format("messages[{}].content", index), "is missing");
  TRY(message.content, ReadContent(*content, index));
  if (const bj::value* name = Find(object, "name"); name && name->is_string())
    message.name = std::string(name->as_string().c_str(), name->as_string().size());
  return message;
}

}  // namespace

Result<TextRequest> ParseChatRequest(std::string_view body) {
  TRY(bj::object object, Document(body));
  TextRequest out;
  const bj::value* messages = Find(object, "messages");
  if (!messages) return Bad("messages", "is missing");
  if (!messages->is_array()) return Bad("messages", "must be a list");
  if (messages->as_array().empty()) return Bad("messages", "must not be empty");
  for (std::size_t i = 0; i < messages->as_array().size(); ++i) {
    TRY(ChatMessage message, ReadMessage(messages->as_array()[i], i));
    out.messages.push_back(std::move(message));
  }
  for (std::string_view field : {"tools", "functions", "audio", "prediction", "web_search_options"}) {
    const bj::value* value = Find(object, field);
    if (value && !(value->is_array() && value->as_array().empty())) return Unsupported(field);
  }
  if (const bj::value* logprobs = Find(object, "logprobs"); logprobs && *logprobs != bj::value(false)) return Unsupported("logprobs");
  if (const bj::value* format = Find(object, "response_format"); format && format->is_object()) {
    const bj::value* type = Find(format->as_object(), "type");
    if (!type || *type != bj::value("text")) return Unsupported("response_format");
  }
  TRY_DO(ReadCommon(object, out));
  return out;
}

Result<TextRequest> ParseCompletionRequest(std::string_view body) {
  TRY(bj::object object, Document(body));
  TextRequest out;
  const bj::value* prompt = Find(object, "prompt");
  if (!prompt) return Bad("prompt", "is missing");
  const bj::value* one = prompt;
  if (prompt->is_array() && prompt->as_array().size() == 1 && prompt->as_array()[0].is_string()) one = &prompt->as_array()[0];
  if (one->is_string()) {
    out.prompt = std::string(one->as_string().c_str(), one->as_string().size());
  } else if (prompt->is_array() && !prompt->as_array().empty()) {
    for (const bj::value& token : prompt->as_array()) {
      if (!token.is_int64() || token.as_int64() < 0 || token.as_int64() > INT32_MAX)
        return Error(
            Code::kInvalidArgument,
            "'prompt' must be a string, a list with one string, or a list of token ids; several prompts in one request are not supported by this model",
            "unsupported_parameter", "prompt");
      out.prompt_tokens.push_back(static_cast<std::int32_t>(token.as_int64()));
    }
  } else {
    return Bad("prompt", "must be a string or a list of token ids");
  }
  for (std::string_view field : {"suffix", "logprobs"}) {
    if (Find(object, field)) return Unsupported(field);
  }
  double best_of = 1;
  TRY_DO(ReadNumber(object, "best_of", 1, 128, best_of));
  TRY_DO(ReadCommon(object, out));
  if (best_of > out.n) return Unsupported("best_of");
  if (const bj::value* echo = Find(object, "echo")) {
    if (!echo->is_bool()) return Bad("echo", "must be true or false");
    out.echo = echo->as_bool();
  }
  if (!out.max_tokens) out.max_tokens = 16;  // OpenAI's default for completions
  return out;
}

}  // namespace nereid::openai

#include "protocol/openai/render.h"

#include "codec/json_text.h"

namespace nereid::openai {
namespace {

void AppendUsage(std::string& out, const TokenUsage& usage) {
  out += "\"usage\":{\"prompt_tokens\":";
  json::AppendInt(out, usage.prompt_total());
  out += ",\"completion_tokens\":";
  json::AppendInt(out, usage.output_total());
  out += ",\"total_tokens\":";
  json::AppendInt(out, usage.total());
  out += '}';
}

}  // namespace

std::string_view FinishName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kToolCalls: return "tool_calls";
    case FinishReason::kContentFilter: return "content_filter";
    case FinishReason::kCancelled:
    case FinishReason::kError: return "stop";
  }
  return "stop";
}

Renderer::Renderer(Operation operation, std::string id, std::int64_t created, std::string model, bool stream, bool include_usage)
    : operation_(operation),
      id_(std::move(id)),
      created_(created),
      model_(std::move(model)),
      stream_(stream),
      include_usage_(include_usage) {}

Renderer::Choice& Renderer::At(int choice) {
  if (static_cast<std::size_t>(choice) >= choices_.size()) choices_.resize(static_cast<std::size_t>(choice) + 1);
  return choices_[static_cast<std::size_t>(choice)];
}

void Renderer::AppendHead(std::string& out, std::string_view object) const {
  out += "{\"id\":";
  json::AppendString(out, id_);
  out += ",\"object\":\"";
  out += object;
  out += "\",\"created\":";
  json::AppendInt(out, created_);
  out += ",\"model\":";
  json::AppendString(out, model_);
  out += ',';
}

std::string Renderer::Chunk(int choice, std::string_view text, std::string_view finish, bool role) const {
  std::string out = "data: ";
  bool chat = operation_ == Operation::kChatCompletions;
  AppendHead(out, chat ? "chat.completion.chunk" : "text_completion");
  out += "\"choices\":[{\"index\":";
  json::AppendInt(out, choice);
  if (chat) {
    out += ",\"delta\":{";
    if (role) out += "\"role\":\"assistant\",\"content\":";
    else if (!text.empty()) out += "\"content\":";
    if (role || !text.empty()) json::AppendString(out, text);
    out += "},\"logprobs\":null";
  } else {
    out += ",\"text\":";
    json::AppendString(out, text);
    out += ",\"logprobs\":null";
  }
  out += ",\"finish_reason\":";
  if (finish.empty()) out += "null";
  else json::AppendString(out, finish);
  out += "}]";
  if (include_usage_) out += ",\"usage\":null";
  out += "}\n\n";
  return out;
}

std::string Renderer::Delta(int choice, std::string_view text, std::optional<FinishReason> finish) {
  Choice& at = At(choice);
  std::string_view name = finish ? FinishName(*finish) : std::string_view();
  if (!stream_) {
    at.text += text;
    if (finish) at.finish = name;
    return {};
  }
  std::string out;
  bool chat = operation_ == Operation::kChatCompletions;
  if (chat && !std::exchange(at.begun, true)) out += Chunk(choice, "", "", true);
  // Chat clients expect the finish reason on a chunk of its own, with an empty delta.
  if (chat && finish && !text.empty()) return out + Chunk(choice, text, "", false) + Chunk(choice, "", name, false);
  return out + Chunk(choice, text, name, false);
}

std::string Renderer::Finish(const TokenUsage& usage) {
  std::string out;
  bool chat = operation_ == Operation::kChatCompletions;
  if (stream_) {
    if (include_usage_) {
      out += "data: ";
      AppendHead(out, chat ? "chat.completion.chunk" : "text_completion");
      out += "\"choices\":[],";
      AppendUsage(out, usage);
      out += "}\n\n";
    }
    return out + "data: [DONE]\n\n";
  }
  AppendHead(out, chat ? "chat.completion" : "text_completion");
  out += "\"choices\":[";
  At(0);
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    if (i > 0) out += ',';
    out += "{\"index\":";
    json::AppendInt(out, static_cast<std::int64_t>(i));
    if (chat) {
      out += ",\"message\":{\"role\":\"assistant\",\"content\":";
      json::AppendString(out, choices_[i].text);
      out += ",\"refusal\":null}";
    } else {
      out += ",\"text\":";
      json::AppendString(out, choices_[i].text);
    }
    out += ",\"logprobs\":null,\"finish_reason\":";
    json::AppendString(out, choices_[i].finish.empty() ? "stop" : choices_[i].finish);
    out += '}';
  }
  out += "],";
  AppendUsage(out, usage);
  return out + "}";
}

std::string RenderModel(const CatalogueRow& row) {
  std::string out = "{\"id\":";
  json::AppendString(out, row.name);
  out += ",\"object\":\"model\",\"created\":";
  json::AppendInt(out, row.created);
  out += ",\"owned_by\":";
  json::AppendString(out, row.owned_by);
  return out + "}";
}

std::string RenderModels(const std::vector<CatalogueRow>& rows) {
  std::string out = "{\"object\":\"list\",\"data\":[";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) out += ',';
    out += RenderModel(rows[i]);
  }
  return out + "]}";
}

}  // namespace nereid::openai

// The model's own chat template. The only place that knows llama.cpp's `common` library.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "api/text.h"
#include "base/status.h"

struct llama_model;

namespace nereid::llama {

struct RenderedChat {
  std::string prompt;              // without the begin token, which the tokenizer adds; ends where the assistant speaks
  std::vector<std::string> stops;  // that the template needs besides the model's end tokens
};

// Any thread, several at a time. Lives as long as the model.
class ChatTemplate {
 public:
  // A model without a template gets ChatML. An error when the model's template cannot be parsed.
  static Result<std::unique_ptr<ChatTemplate>> Of(const llama_model* model);
  virtual ~ChatTemplate() = default;
  // A template that refuses the messages is kInvalidArgument with its own words.
  virtual Result<RenderedChat> Render(std::span<const ChatMessage> messages) const = 0;
};

}  // namespace nereid::llama

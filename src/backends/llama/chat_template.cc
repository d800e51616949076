#include "backends/llama/chat_template.h"

#include <exception>
#include <mutex>

#include <fmt/format.h>

#include <chat.h>
#include <log.h>

namespace nereid::llama {
namespace {

class CommonTemplate final : public ChatTemplate {
 public:
  explicit CommonTemplate(common_chat_templates_ptr templates) : templates_(std::move(templates)) {}

  Result<RenderedChat> Render(std::span<const ChatMessage> messages) const override {
    common_chat_templates_inputs inputs;
    for (const ChatMessage& message : messages) {
      common_chat_msg& out = inputs.messages.emplace_back();
      // The newer name of the same thing; templates know only the older one.
      out.role = message.role == "developer" ? "system" : message.role;
      out.content = message.content;
      if (message.role == "tool") out.tool_name = message.name;
    }
    inputs.add_generation_prompt = true;
    inputs.use_jinja = true;
    inputs.force_pure_content = true;
    try {
      common_chat_params params = common_chat_templates_apply(templates_.get(), inputs);
      return RenderedChat{std::move(params.prompt), std::move(params.additional_stops)};
    } catch (const std::exception& failure) {
      return Error(Code::kInvalidArgument, fmt::format("the model's chat template refused the messages: {}", failure.what()),
                   "chat_template");
    }
  }

 private:
  const common_chat_templates_ptr templates_;
};

// `common` would start a thread of its own and write to stdout.
void SilenceCommonLog() {
  static std::once_flag once;
  std::call_once(once, [] { common_log_set_verbosity_thold(LOG_LEVEL_OUTPUT - 1); });
}

}  // namespace

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::Of(const llama_model* model) {
  SilenceCommonLog();
  try {
    common_chat_templates_ptr templates = common_chat_templates_init(model, "");
    return std::make_unique<CommonTemplate>(std::move(templates));
  } catch (const std::exception& failure) {
    return Error(Code::kInvalidArgument, fmt::format("the model's chat template cannot be parsed: {}", failure.what()), "chat_template");
  }
}

}  // namespace nereid::llama

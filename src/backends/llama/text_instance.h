// The model as KServe v2 sees it: text_input in, text_output out, one response a step.
#pragma once

#include "api/backend.h"

namespace nereid::llama {

inline constexpr std::string_view kTextInput = "text_input", kStreamInput = "stream", kTextOutput = "text_output";

// Hands its requests to the generator and returns; they are answered later, from the engine's thread.
class TextInstance final : public ModelInstance {
 public:
  // `generator` outlives the instance and the requests.
  explicit TextInstance(TextGenerator& generator) : generator_(generator) {}
  void Execute(ExecutionBatch batch) override;

 private:
  TextGenerator& generator_;
};

// What a tensor request asks for. Parameters: max_tokens, temperature, top_p, top_k, min_p, seed, frequency_penalty, presence_penalty,
// repeat_penalty, stop, ignore_eos, echo, stream; others are ignored. The input `stream` goes before the parameter; without both: true.
struct TextCommand {
  TextRequest request;
  bool stream = true;
};
Result<TextCommand> ReadTextCommand(const InferRequest& request);

}  // namespace nereid::llama

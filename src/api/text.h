// A text request in no API's words, and what a text model answers. Produced by protocol/'s parsers, consumed by TextGenerator.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/infer.h"
#include "base/cancellation.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/status.h"

namespace nereid {

// Disjoint classes: input_tokens does not contain the cached ones, output_tokens does not contain the reasoning ones.
struct TokenUsage {
  std::int64_t input = 0, cache_read = 0, cache_write = 0, output = 0, reasoning = 0;

  std::int64_t prompt_total() const { return input + cache_read + cache_write; }
  std::int64_t output_total() const { return output + reasoning; }
  std::int64_t total() const { return prompt_total() + output_total(); }
  friend bool operator==(const TokenUsage&, const TokenUsage&) = default;
};

enum class FinishReason : std::uint8_t { kStop, kLength, kToolCalls, kContentFilter, kCancelled, kError };

struct ChatMessage {
  std::string role;     // system, developer, user, assistant, tool
  std::string content;  // text parts joined
  std::string name;
};

struct Sampling {
  double temperature = 1.0, top_p = 1.0, min_p = 0.0;
  int top_k = 0;  // 0: off
  double frequency_penalty = 0, presence_penalty = 0, repeat_penalty = 1.0;
  std::optional<std::uint64_t> seed;
  std::vector<std::pair<std::int32_t, float>> logit_bias;
};

struct TextRequest {
  RequestId request_id;
  // Exactly one of these: a chat rendered with the model's own template, or plain text (or tokens) taken as it is.
  std::vector<ChatMessage> messages;
  std::optional<std::string> prompt;
  std::vector<std::int32_t> prompt_tokens;  // instead of `prompt`, when not empty

  Sampling sampling;
  std::optional<std::int64_t> max_tokens;  // none: until the context is full
  std::vector<std::string> stop;
  bool ignore_eos = false;
  int n = 1;          // choices
  bool echo = false;  // completions: the prompt comes back before the answer

  Deadline deadline;
  Cancellation cancellation;
};

struct TextEvent {
  int choice = 0;
  std::string text;  // a delta; whole UTF-8 characters only
  // Set on a choice's last event.
  std::optional<FinishReason> finish;
  // On the last event of all: final and the exact usage over all choices, also when it failed or was cancelled.
  bool final = false;
  TokenUsage usage;
  std::optional<Status> error;
};

using TextReceiver = Receiver<TextEvent>;

// A loaded text model. Any thread. Lives as long as the version that gave it out.
class TextGenerator {
 public:
  virtual ~TextGenerator() = default;
  // Never blocks. Every request gets exactly one final event, unless its receiver says kGone.
  virtual void Generate(TextRequest request, std::shared_ptr<TextReceiver> receiver) = 0;
  virtual std::int64_t context_tokens() const = 0;
  // Exact for the model's tokenizer; used for estimates.
  virtual Result<std::int64_t> CountTokens(std::string_view text) const = 0;
};

}  // namespace nereid

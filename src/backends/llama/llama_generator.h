// Text requests into the engine: renders and tokenizes them on a thread of its own, so that neither callers nor the engine wait for it.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "api/text.h"
#include "backends/llama/chat_template.h"
#include "backends/llama/decode_engine.h"
#include "backends/llama/weights.h"

namespace nereid::llama {

// Usage: the prompt counts as the tokenizer gives it, with the begin token, once however many choices there are; the answer counts every
// token sampled, the end token and those that a stop string cut away included.
class LlamaGenerator final : public TextGenerator {
 public:
  // `chat` may be an error: then chats are refused with it. `limits.context_tokens` and `cells` are set.
  LlamaGenerator(std::unique_ptr<Weights> weights, Result<std::unique_ptr<ChatTemplate>> chat, std::unique_ptr<CacheContext> cache,
                 const EngineLimits& limits, std::string_view name);
  ~LlamaGenerator() override;

  // Refusals: kUnavailable "queue_full"; kInvalidArgument "context_length_exceeded" for a prompt that leaves no room for an answer.
  void Generate(TextRequest request, std::shared_ptr<TextReceiver> receiver) override;
  std::int64_t context_tokens() const override { return limits_.context_tokens; }
  Result<std::int64_t> CountTokens(std::string_view text) const override;

 private:
  struct Arrival {
    TextRequest request;
    std::shared_ptr<TextReceiver> receiver;
  };
  void Run();
  void Prepare(Arrival arrival);
  Result<Nothing> Check(const TextRequest& request) const;
  Result<std::vector<Token>> Prompt(TextRequest& request) const;
  Result<std::vector<Token>> Fitting(std::vector<Token> tokens, bool chat) const;

  const EngineLimits limits_;  // set once
  const std::unique_ptr<Weights> weights_;
  const Result<std::unique_ptr<ChatTemplate>> chat_;
  const std::shared_ptr<Signal> signal_;
  const std::shared_ptr<WaitingRoom> waiting_room_;
  std::unique_ptr<DecodeEngine> engine_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Arrival> arrivals_;  // guarded by mutex_; bounded by the waiting room
  bool stopping_ = false;         // guarded by mutex_
  std::thread thread_;
};

}  // namespace nereid::llama

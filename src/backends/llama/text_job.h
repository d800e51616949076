// One text request on its way through the engine: its choices, what they have said, and what its receiver has taken of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/text.h"
#include "backends/llama/cache_context.h"
#include "backends/llama/sampler.h"
#include "backends/llama/signal.h"
#include "backends/llama/stop_matcher.h"
#include "backends/llama/utf8_filter.h"
#include "backends/llama/weights.h"

namespace nereid::llama {

// One choice: a sequence of tokens, some of them in the cache.
struct Choice {
  Choice(Sampler a_sampler, std::vector<std::string> stops) : sampler(std::move(a_sampler)), matcher(std::move(stops)) {}

  std::optional<SequenceId> sequence;  // its slot in the cache, from admission to its end
  bool resident = false;               // its tokens have cells, or room is set aside for them
  int computed = 0;                    // of the job's tokens and its own, how many are in the cache
  int shared = 0;                      // of these, how many in cells shared with the job's other choices

  std::vector<Token> generated;
  Sampler sampler;
  Utf8Filter utf8;
  StopMatcher matcher;

  std::string ready;  // text that the receiver has not taken yet
  std::optional<FinishReason> finish;
  bool reported = false;  // the receiver took the finish
};

// Places that waiting requests take; bounded.
class WaitingRoom {
 public:
  explicit WaitingRoom(int places) : free_(places) {}
  bool Enter() {
    if (free_.fetch_sub(1) > 0) return true;
    free_.fetch_add(1);
    return false;
  }
  void Leave() { free_.fetch_add(1); }

 private:
  std::atomic<int> free_;
};

// Made by one thread, then kept by the engine thread. Destroying one that was never closed leaves its receiver without a final event.
class TextJob {
 public:
  TextJob(TextRequest request, std::shared_ptr<TextReceiver> receiver) : request(std::move(request)), receiver_(std::move(receiver)) {}

  // ---- set once, before the engine gets it
  TextRequest request;
  std::vector<Token> prompt;
  std::optional<LogitBias> bias;
  std::vector<Choice> choices;

  // ---- the engine's
  bool forked = false;      // the choices have parted
  int prompt_computed = 0;  // tokens, at most; of a prompt that is computed again after its cells were taken, counted once

  int tokens(const Choice& choice) const { return static_cast<int>(prompt.size() + choice.generated.size()); }
  // Of `choice`, `count` tokens from `from` on, which lie either all in the prompt or all behind it, unless copied to `room`.
  std::span<const Token> TokensFrom(const Choice& choice, int from, int count, std::vector<Token>& room) const;
  // A token was sampled: its text becomes ready, and the choice ends where a rule says so.
  void Accept(Choice& choice, Token token, const Vocabulary& vocabulary, int context_tokens);

  // ---- the receiver's side
  // Hands over what is ready: at most one event a choice. After it, see paused() and closed().
  void Deliver(const std::shared_ptr<Signal>& signal);
  // Ends the whole request; the final event carries `status` and the usage up to here.
  void Fail(Status status, const std::shared_ptr<Signal>& signal);
  // The receiver is full: nothing should be computed until it has room.
  bool paused();
  // The final event was taken, or nobody listens: the job can go.
  bool closed() const { return closed_; }
  // Every choice has ended.
  bool finished() const;
  TokenUsage usage() const;

 private:
  bool Push(TextEvent& event, const std::shared_ptr<Signal>& signal);

  const std::shared_ptr<TextReceiver> receiver_;
  std::shared_ptr<std::atomic<bool>> room_;  // not null: full, until it turns true
  std::optional<Status> failure_;
  bool end_refused_ = false;
  bool closed_ = false;
};

}  // namespace nereid::llama

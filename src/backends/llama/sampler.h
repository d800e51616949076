// Chooses the next token of one sequence.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "api/text.h"
#include "backends/llama/weights.h"
#include "base/status.h"

struct llama_sampler;

namespace nereid::llama {

// Kept by one thread. Greedy without penalties is a plain search for the largest logit; else llama.cpp's samplers in the order
// penalties, top_k, top_p, min_p, temperature, draw. Frequency and presence penalties count the generated tokens only, the repeat
// penalty the prompt's end as well.
class Sampler {
 public:
  // Numbers out of range are kInvalidArgument. `window_tokens`: how far back penalties look.
  static Result<Nothing> Check(const Sampling& sampling, const Vocabulary& vocabulary);
  // `sampling` has passed Check. `seed` is used only when the temperature is not 0.
  Sampler(const Sampling& sampling, std::uint32_t seed, std::span<const Token> prompt, int window_tokens, const Vocabulary& vocabulary);

  // `logits`: one a token of the vocabulary; not changed. Remembers its choice for the penalties.
  Token Sample(std::span<const float> logits);

 private:
  struct Free {
    void operator()(llama_sampler* chain) const;
  };
  std::unique_ptr<llama_sampler, Free> chain_;  // null: greedy
};

// What a request adds to logits before sampling: its logit_bias and the tokens it must not get. Apply once to each row.
class LogitBias {
 public:
  LogitBias(const Sampling& sampling, bool ignore_end, const Vocabulary& vocabulary);
  void Apply(std::span<float> logits) const;

 private:
  std::vector<std::pair<Token, float>> biases_;  // set once
};

}  // namespace nereid::llama

#include "backends/llama/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <llama.h>

namespace nereid::llama {
namespace {

constexpr int kRepeatWindowTokens = 64;

bool Penalises(const Sampling& sampling) {
  return sampling.frequency_penalty != 0 || sampling.presence_penalty != 0 || sampling.repeat_penalty != 1.0;
}

}  // namespace

Result<Nothing> Sampler::Check(const Sampling& sampling, const Vocabulary& vocabulary) {
  auto refuse = [](std::string_view name, std::string_view rule) {
    return Error(Code::kInvalidArgument, fmt::format("{} must be {}", name, rule), "invalid_value");
  };
  auto within = [](double value, double low, double high) { return std::isfinite(value) && value >= low && value <= high; };
  if (!within(sampling.temperature, 0, 100)) return refuse("temperature", "between 0 and 100");
  if (!within(sampling.top_p, 0, 1)) return refuse("top_p", "between 0 and 1");
  if (!within(sampling.min_p, 0, 1)) return refuse("min_p", "between 0 and 1");
  if (!within(sampling.frequency_penalty, -100, 100)) return refuse("frequency_penalty", "between -100 and 100");
  if (!within(sampling.presence_penalty, -100, 100)) return refuse("presence_penalty", "between -100 and 100");
  if (!within(sampling.repeat_penalty, 1e-3, 100)) return refuse("repeat_penalty", "between 0.001 and 100");
  for (const auto& [token, bias] : sampling.logit_bias) {
    if (token < 0 || token >= vocabulary.size())
      return refuse("logit_bias", fmt::format("of tokens between 0 and {}", vocabulary.size() - 1));
    if (std::isnan(bias)) return refuse("logit_bias", "a number");
  }
  return Nothing{};
}

void Sampler::Free::operator()(llama_sampler* chain) const {
  llama_sampler_free(chain);
}

Sampler::Sampler(const Sampling& sampling, std::uint32_t seed, std::span<const Token> prompt, int window_tokens,
                 const Vocabulary& vocabulary) {
  bool greedy = sampling.temperature <= 0;
  if (greedy && !Penalises(sampling)) return;
  llama_sampler_chain_params params = llama_sampler_chain_default_params();
  params.no_perf = true;
  chain_.reset(llama_sampler_chain_init(params));
  auto add = [this](llama_sampler* next) { llama_sampler_chain_add(chain_.get(), next); };
  if (sampling.repeat_penalty != 1.0) {
    llama_sampler* repeat =
        llama_sampler_init_penalties(vocabulary.size(), kRepeatWindowTokens, static_cast<float>(sampling.repeat_penalty), 0, 0);
    for (Token token : prompt.last(std::min<std::size_t>(prompt.size(), kRepeatWindowTokens))) llama_sampler_accept(repeat, token);
    add(repeat);
  }
  if (sampling.frequency_penalty != 0 || sampling.presence_penalty != 0) {
    add(llama_sampler_init_penalties(vocabulary.size(), window_tokens, 1.0f, static_cast<float>(sampling.frequency_penalty),
                                     static_cast<float>(sampling.presence_penalty)));
  }
  if (greedy) {
    add(llama_sampler_init_greedy());
    return;
  }
  if (sampling.top_k > 0) add(llama_sampler_init_top_k(sampling.top_k));
  if (sampling.top_p < 1) add(llama_sampler_init_top_p(static_cast<float>(sampling.top_p), 1));
  if (sampling.min_p > 0) add(llama_sampler_init_min_p(static_cast<float>(sampling.min_p), 1));
  if (sampling.temperature != 1) add(llama_sampler_init_temp(static_cast<float>(sampling.temperature)));
  add(llama_sampler_init_dist(seed));
}

Token Sampler::Sample(std::span<const float> logits) {
  if (!chain_) return static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  // One a thread: 12 bytes for each token of the vocabulary, for every token sampled.
  thread_local std::vector<llama_token_data> candidates;
  candidates.resize(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) candidates[i] = {static_cast<Token>(i), logits[i], 0.0f};
  llama_token_data_array array{candidates.data(), candidates.size(), /*selected=*/-1, /*sorted=*/false};
  llama_sampler_apply(chain_.get(), &array);
  Token token = array.selected >= 0 ? array.data[array.selected].id : array.data[0].id;
  llama_sampler_accept(chain_.get(), token);
  return token;
}

LogitBias::LogitBias(const Sampling& sampling, bool ignore_end, const Vocabulary& vocabulary)
    : biases_(sampling.logit_bias.begin(), sampling.logit_bias.end()) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (Token token : vocabulary.suppressed()) biases_.emplace_back(token, kNever);
  if (!ignore_end) return;
  for (Token token : vocabulary.end_tokens()) biases_.emplace_back(token, kNever);
}

void LogitBias::Apply(std::span<float> logits) const {
  for (const auto& [token, bias] : biases_) {
    if (token >= 0 && static_cast<std::size_t>(token) < logits.size()) logits[static_cast<std::size_t>(token)] += bias;
  }
}

}  // namespace nereid::llama

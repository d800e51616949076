#include "backends/llama/llama_generator.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <pthread.h>

#include "base/ids.h"

namespace nereid::llama {
namespace {

void Refuse(TextReceiver& receiver, Status status) {
  FinishReason reason = status.code == Code::kCancelled ? FinishReason::kCancelled : FinishReason::kError;
  receiver.Push(TextEvent{.finish = reason, .final = true, .error = std::move(status)});
}

std::unexpected<Status> TooLong(int context_tokens, std::string_view prompt_tokens, bool chat) {
  return Error(
      Code::kInvalidArgument,
      fmt::format(
          "This model's maximum context length is {} tokens. However, your {} resulted in {} tokens. Please reduce the length of the {}.",
          context_tokens, chat ? "messages" : "prompt", prompt_tokens, chat ? "messages" : "prompt"),
      "context_length_exceeded");
}

// Choices of one request draw differently, the same request with the same seed alike.
std::uint32_t SeedOf(const Sampling& sampling, std::size_t choice) {
  std::uint64_t seed = 0;
  if (sampling.seed) {
    seed = *sampling.seed;
  } else {
    std::string bytes = RandomBytes(sizeof seed);
    std::memcpy(&seed, bytes.data(), sizeof seed);
  }
  auto folded = static_cast<std::uint32_t>(seed ^ (seed >> 32)) + static_cast<std::uint32_t>(choice);
  return std::min(folded, 0xFFFFFFFEu);  // the largest one asks llama.cpp for a random seed
}

}  // namespace

LlamaGenerator::LlamaGenerator(std::unique_ptr<Weights> weights, Result<std::unique_ptr<ChatTemplate>> chat,
                               std::unique_ptr<CacheContext> cache, const EngineLimits& limits, std::string_view name)
    : limits_(limits),
      weights_(std::move(weights)),
      chat_(std::move(chat)),
      signal_(std::make_shared<Signal>()),
      waiting_room_(std::make_shared<WaitingRoom>(limits.waiting)),
      engine_(std::make_unique<DecodeEngine>(std::move(cache), weights_->vocabulary(), limits, name, signal_, waiting_room_)) {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), fmt::format("tok:{}", name).substr(0, 15).c_str());
}

LlamaGenerator::~LlamaGenerator() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  for (Arrival& arrival : arrivals_) Refuse(*arrival.receiver, {Code::kUnavailable, "the model is being unloaded", "model_unloading", {}});
}

void LlamaGenerator::Generate(TextRequest request, std::shared_ptr<TextReceiver> receiver) {
  if (!waiting_room_->Enter()) {
    Refuse(*receiver, {Code::kUnavailable, fmt::format("the model is busy: {} requests wait already", limits_.waiting), "queue_full", {}});
    return;
  }
  request.cancellation.OnCancel([signal = signal_] { signal->Raise(); });
  {
    std::lock_guard lock(mutex_);
    arrivals_.push_back({std::move(request), std::move(receiver)});
  }
  wake_.notify_one();
}

Result<std::int64_t> LlamaGenerator::CountTokens(std::string_view text) const {
  TRY(std::vector<Token> tokens, weights_->vocabulary().Tokenize(text));
  return static_cast<std::int64_t>(tokens.size());
}

void LlamaGenerator::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !arrivals_.empty(); });
    if (stopping_) return;
    Arrival arrival = std::move(arrivals_.front());
    arrivals_.pop_front();
    lock.unlock();
    Prepare(std::move(arrival));
    lock.lock();
  }
}

Result<Nothing> LlamaGenerator::Check(const TextRequest& request) const {
  if (request.cancellation.cancelled()) return Error(Code::kCancelled, "the request was cancelled", "cancelled");
  if (request.n < 1 || request.n > limits_.sequences) {
    return Error(Code::kInvalidArgument, fmt::format("n must be between 1 and {}", limits_.sequences), "invalid_value");
  }
  if (request.max_tokens && *request.max_tokens < 0)
    return Error(Code::kInvalidArgument, "max_tokens must not be negative", "invalid_value");
  return Sampler::Check(request.sampling, weights_->vocabulary());
}

Result<std::vector<Token>> LlamaGenerator::Fitting(std::vector<Token> tokens, bool chat) const {
  if (static_cast<int>(tokens.size()) >= limits_.context_tokens)
    return TooLong(limits_.context_tokens, std::to_string(tokens.size()), chat);
  if (tokens.empty()) return Error(Code::kInvalidArgument, "the prompt is empty", "invalid_value");
  return tokens;
}

Result<std::vector<Token>> LlamaGenerator::Prompt(TextRequest& request) const {
  TRY_DO(Check(request));
  const Vocabulary& vocabulary = weights_->vocabulary();
  if (!request.prompt_tokens.empty()) {
    for (Token token : request.prompt_tokens) {
      if (token >= 0 && token < vocabulary.size()) continue;
      return Error(Code::kInvalidArgument, fmt::format("prompt token {} is not between 0 and {}", token, vocabulary.size() - 1),
                   "invalid_value");
    }
    return Fitting(request.prompt_tokens, false);
  }
  bool chat = !request.messages.empty();
  std::string rendered;
  if (chat) {
    if (!chat_) return std::unexpected(chat_.error());
    TRY(RenderedChat answer, (*chat_)->Render(request.messages));
    rendered = std::move(answer.prompt);
    request.stop.insert(request.stop.end(), answer.stops.begin(), answer.stops.end());
  }
  const std::string& text = chat ? rendered : request.prompt ? *request.prompt : rendered;
  // Too long however well it is packed: not worth the tokenizer's time.
  std::size_t tokens_min = text.size() / vocabulary.piece_bytes_max();
  if (tokens_min > static_cast<std::size_t>(limits_.context_tokens))
    return TooLong(limits_.context_tokens, fmt::format("more than {}", tokens_min), chat);
  TRY(std::vector<Token> tokens, vocabulary.Tokenize(text));
  return Fitting(std::move(tokens), chat);
}

void LlamaGenerator::Prepare(Arrival arrival) {
  TextRequest& request = arrival.request;
  Result<std::vector<Token>> prompt = Prompt(request);
  if (!prompt) {
    waiting_room_->Leave();
    Refuse(*arrival.receiver, std::move(prompt).error());
    return;
  }
  const Vocabulary& vocabulary = weights_->vocabulary();
  auto job = std::make_unique<TextJob>(std::move(request), std::move(arrival.receiver));
  job->prompt = *std::move(prompt);
  job->bias.emplace(job->request.sampling, job->request.ignore_eos, vocabulary);
  for (std::size_t i = 0; i < static_cast<std::size_t>(job->request.n); ++i) {
    Sampler sampler(job->request.sampling, SeedOf(job->request.sampling, i), job->prompt, limits_.context_tokens, vocabulary);
    Choice& choice = job->choices.emplace_back(std::move(sampler), job->request.stop);
    if (job->request.echo) choice.ready = job->request.prompt ? *job->request.prompt : vocabulary.Text(job->prompt);
    if (job->request.max_tokens == 0) choice.finish = FinishReason::kLength;
  }
  if (job->request.max_tokens == 0) job->prompt_computed = static_cast<int>(job->prompt.size());
  engine_->Submit(std::move(job));
}

}  // namespace nereid::llama

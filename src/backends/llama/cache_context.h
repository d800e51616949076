// One llama_context: the cache of what sequences have computed, and the step that computes more.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "backends/llama/runtime.h"
#include "backends/llama/thread_governor.h"
#include "backends/llama/weights.h"
#include "base/status.h"

struct llama_context;

namespace nereid::llama {

using SequenceId = std::int32_t;

struct StepRow {
  SequenceId sequence = 0;
  std::int32_t position = 0;  // of the first of `tokens`
  std::span<const Token> tokens;
  bool wants_logits = false;  // after the last of `tokens`
};

struct ContextSize {
  int cells = 0;  // tokens of all sequences together; they share one pool
  int sequences = 0;
  int step_tokens = 0;  // in one Step
};

enum class StepEnd { kDone, kNoCells, kFailed };

// One thread at a time.
class CacheContext {
 public:
  // On a loader thread. Runs one token through the model, so that a model which cannot compute fails here.
  static Result<std::unique_ptr<CacheContext>> Make(std::shared_ptr<Runtime> runtime, const Weights& weights, const ContextSize& size);
  ~CacheContext();
  CacheContext(const CacheContext&) = delete;
  CacheContext& operator=(const CacheContext&) = delete;

  // Waits for the cores, then computes. After kNoCells nothing has changed; after kFailed the rows' sequences must be dropped.
  StepEnd Step(std::span<const StepRow> rows);
  // Of the row with that index in the last Step, which wanted them. Valid, and writable, until the next Step.
  std::span<float> Logits(std::size_t row);
  // Frees the cells that no other sequence shares.
  void Drop(SequenceId sequence);
  // `to` shares all cells of `from`.
  void Share(SequenceId from, SequenceId to);

 private:
  CacheContext(std::shared_ptr<Runtime> runtime, llama_context* context, const Vocabulary& vocabulary, int step_tokens);
  struct Batch;
  const std::shared_ptr<Runtime> runtime_;
  llama_context* const context_;
  const std::int32_t vocabulary_size_;
  const std::unique_ptr<Batch> batch_;
  ThreadGovernor governor_;
};

}  // namespace nereid::llama

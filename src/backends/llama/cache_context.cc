#include "backends/llama/cache_context.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <vector>

#include <fmt/format.h>
#include <llama.h>

#include "base/log.h"

namespace nereid::llama {

// The arrays behind a llama_batch, filled anew each step.
struct CacheContext::Batch {
  explicit Batch(std::size_t room) : tokens(room), positions(room), ids(room), id_counts(room, 1), id_lists(room), wanted(room) {
    for (std::size_t i = 0; i < room; ++i) id_lists[i] = &ids[i];
  }
  std::vector<llama_token> tokens;
  std::vector<llama_pos> positions;
  std::vector<llama_seq_id> ids;
  std::vector<std::int32_t> id_counts;
  std::vector<llama_seq_id*> id_lists;
  std::vector<std::int8_t> wanted;
  std::vector<std::int32_t> last_of_row;  // index of the row's last token
};

CacheContext::CacheContext(std::shared_ptr<Runtime> runtime, llama_context* context, const Vocabulary& vocabulary, int step_tokens)
    : runtime_(std::move(runtime)),
      context_(context),
      vocabulary_size_(vocabulary.size()),
      batch_(std::make_unique<Batch>(step_tokens)),
      governor_(runtime_->threads()) {
  runtime_->Attach(context_);
}

CacheContext::~CacheContext() {
  llama_free(context_);
}

Result<std::unique_ptr<CacheContext>> CacheContext::Make(std::shared_ptr<Runtime> runtime, const Weights& weights,
                                                         const ContextSize& size) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(size.cells);
  params.n_batch = params.n_ubatch = static_cast<std::uint32_t>(size.step_tokens);
  params.n_seq_max = static_cast<std::uint32_t>(size.sequences);
  params.n_outputs_max = static_cast<std::uint32_t>(size.sequences);
  params.n_threads = params.n_threads_batch = runtime->threads();
  params.kv_unified = true;
  params.no_perf = true;
  (void)TakeLlamaError();
  llama_context* made = nullptr;
  {
    // Reserving the graphs computes a little, with llama.cpp's own threads.
    ComputeArbiter::Hold hold = runtime->Compute();
    made = llama_init_from_model(weights.model(), params);
  }
  if (made == nullptr) {
    return Error(Code::kUnavailable, fmt::format("no context of {} tokens could be made: {}", size.cells, TakeLlamaError()),
                 "out_of_memory");
  }
  std::unique_ptr<CacheContext> context(new CacheContext(std::move(runtime), made, weights.vocabulary(), size.step_tokens));
  Token first = 0;
  if (context->Step(std::vector{StepRow{.tokens = {&first, 1}, .wants_logits = true}}) != StepEnd::kDone) {
    return Error(Code::kInvalidArgument, fmt::format("the model cannot compute one token: {}", TakeLlamaError()), "broken_model");
  }
  context->Drop(0);
  return context;
}

StepEnd CacheContext::Step(std::span<const StepRow> rows) {
  std::int32_t count = 0;
  Batch& batch = *batch_;
  batch.last_of_row.clear();
  for (const StepRow& row : rows) {
    NEREID_CHECK(!row.tokens.empty() && count + row.tokens.size() <= batch.tokens.size());
    for (std::size_t i = 0; i < row.tokens.size(); ++i, ++count) {
      auto at = static_cast<std::size_t>(count);
      batch.tokens[at] = row.tokens[i];
      batch.positions[at] = row.position + static_cast<llama_pos>(i);
      batch.ids[at] = row.sequence;
      batch.wanted[at] = row.wants_logits && i + 1 == row.tokens.size();
    }
    batch.last_of_row.push_back(count - 1);
  }
  llama_batch view{};
  view.n_tokens = count;
  view.token = batch.tokens.data();
  view.pos = batch.positions.data();
  view.n_seq_id = batch.id_counts.data();
  view.seq_id = batch.id_lists.data();
  view.logits = batch.wanted.data();

  (void)TakeLlamaError();
  ComputeArbiter::Hold hold = runtime_->Compute();
  std::int32_t end = 0;
  int threads = governor_.Threads(count);
  llama_set_n_threads(context_, threads, threads);
  auto start = std::chrono::steady_clock::now();
  try {
    end = llama_decode(context_, view);
  } catch (const std::exception& failure) {
    LOG_ERROR("llama_decode threw: {}", failure.what());
    return StepEnd::kFailed;
  }
  governor_.Took(count, std::chrono::steady_clock::now() - start);
  hold.Release();
  if (end == 0) return StepEnd::kDone;
  if (end == 1) return StepEnd::kNoCells;
  LOG_ERROR("llama_decode of {} tokens in {} rows failed with {}: {}", count, rows.size(), end, TakeLlamaError());
  return StepEnd::kFailed;
}

std::span<float> CacheContext::Logits(std::size_t row) {
  float* logits = llama_get_logits_ith(context_, batch_->last_of_row.at(row));
  NEREID_CHECK(logits != nullptr);
  return {logits, static_cast<std::size_t>(vocabulary_size_)};
}

void CacheContext::Drop(SequenceId sequence) {
  llama_memory_seq_rm(llama_get_memory(context_), sequence, -1, -1);
}

void CacheContext::Share(SequenceId from, SequenceId to) {
  llama_memory_seq_cp(llama_get_memory(context_), from, to, -1, -1);
}

}  // namespace nereid::llama

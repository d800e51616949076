#include "backends/llama/runtime.h"

#include <algorithm>
#include <mutex>
#include <string_view>

#include <ggml-cpu.h>
#include <llama.h>

#include "base/log.h"

namespace nereid::llama {
namespace {

thread_local std::string first_error;

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

void OnLlamaLog(ggml_log_level level, const char* text, void*) {
  std::string_view line = Trimmed(text);
  if (line.empty() || line == ".") return;
  if (level == GGML_LOG_LEVEL_ERROR && first_error.empty()) first_error = line;
  LOG_VERBOSE(1, "llama.cpp: {}", line);
}

// Process-wide in llama.cpp: once, before the first model.
void SetUpLlama() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set(OnLlamaLog, nullptr);
    llama_backend_init();
  });
}

ggml_threadpool* NewPool(int threads) {
  SetUpLlama();
  ggml_threadpool_params params = ggml_threadpool_params_default(threads);
  // Polling threads would take the cores from the io threads between two steps.
  params.poll = 0;
  return ggml_threadpool_new(&params);
}

}  // namespace

Runtime::Runtime(ComputeArbiter* arbiter, int cores)
    : threads_(std::clamp(cores, 1, GGML_MAX_N_THREADS)),
      own_arbiter_(arbiter == nullptr ? std::make_unique<ComputeArbiter>(threads_) : nullptr),
      arbiter_(arbiter == nullptr ? own_arbiter_.get() : arbiter),
      pool_(NewPool(threads_)) {}

Runtime::~Runtime() {
  ggml_threadpool_free(pool_);
}

void Runtime::Attach(llama_context* context) const {
  llama_attach_threadpool(context, pool_, pool_);
}

std::string TakeLlamaError() {
  return std::exchange(first_error, {});
}

}  // namespace nereid::llama

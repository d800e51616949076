// What all llama models of the process share: llama.cpp's set-up, its log, and one pool of compute threads.
#pragma once

#include <memory>
#include <string>

#include "base/compute_arbiter.h"

struct ggml_threadpool;
struct llama_context;

namespace nereid::llama {

// One pool for all contexts: a pool computes one graph at a time, which holding all tokens of the arbiter guarantees.
class Runtime {
 public:
  // `arbiter` must outlive the runtime; without one (tests) the runtime has its own.
  Runtime(ComputeArbiter* arbiter, int cores);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  int threads() const { return threads_; }
  // Waits until no other model computes. Hold it only around llama_decode.
  [[nodiscard]] ComputeArbiter::Hold Compute() { return arbiter_->Acquire(arbiter_->tokens()); }
  void Attach(llama_context* context) const;

 private:
  const int threads_;
  std::unique_ptr<ComputeArbiter> own_arbiter_;
  ComputeArbiter* const arbiter_;
  ggml_threadpool* const pool_;
};

// The first error that llama.cpp logged on this thread since the last call, empty when none: those after it only say that loading failed.
std::string TakeLlamaError();

}  // namespace nereid::llama

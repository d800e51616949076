// Continuous batching: many requests as sequences in one cache, computed together step by step on one thread.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backends/llama/cache_context.h"
#include "backends/llama/signal.h"
#include "backends/llama/step_planner.h"
#include "backends/llama/text_job.h"

namespace nereid::llama {

struct EngineLimits {
  int sequences = 16;      // computed together; a request with n choices takes n
  int context_tokens = 0;  // of one request, prompt and answer
  int cells = 0;           // tokens of all sequences together; at least context_tokens
  int waiting = 256;       // requests that wait for a sequence
  StepBudget step;
};

// When the cells run out, the youngest sequence gives its own up and is computed again later: its text goes on where it was, nobody fails.
class DecodeEngine {
 public:
  // `vocabulary` outlives the engine. The thread is called "llm:<name>".
  DecodeEngine(std::unique_ptr<CacheContext> cache, const Vocabulary& vocabulary, const EngineLimits& limits, std::string_view name,
               std::shared_ptr<Signal> signal, std::shared_ptr<WaitingRoom> waiting_room);
  // Requests that are not done end with kUnavailable.
  ~DecodeEngine();

  // Any thread; never blocks. The job holds a place in the waiting room, which it leaves when it starts. Its choices' prompt is shorter
  // than the context, and it has at most `sequences` choices.
  void Submit(std::unique_ptr<TextJob> job);

 private:
  struct Row {
    TextJob* job;
    Choice* choice;
  };

  void Run();
  void TakeNew();
  void DropEnded(SteadyTime now);
  void Admit();
  bool Start(TextJob& job);
  void TakeSequence(Choice& choice);
  bool FindRoom(int sequences, int cells);
  void MakeRoom();
  bool Step();
  void AfterRow(TextJob& job, Choice& choice, std::span<float> logits);
  void Fork(TextJob& job);
  void Release(Choice& choice);
  void Preempt(Choice& choice);
  void Fail(TextJob& job, Status status);
  std::vector<Row> Resident();
  int CommittedCells() const;
  SteadyTime NextDeadline() const;

  const EngineLimits limits_;  // set once
  const Vocabulary& vocabulary_;
  const std::shared_ptr<Signal> signal_;
  const std::shared_ptr<WaitingRoom> waiting_room_;

  // The engine thread's.
  const std::unique_ptr<CacheContext> cache_;
  int usable_cells_;
  std::vector<SequenceId> free_sequences_;
  std::deque<std::unique_ptr<TextJob>> waiting_;   // bounded by the waiting room
  std::vector<std::unique_ptr<TextJob>> running_;  // oldest first

  std::mutex mutex_;
  std::vector<std::unique_ptr<TextJob>> inbox_;  // guarded by mutex_; bounded by the waiting room
  bool stopping_ = false;                        // guarded by mutex_

  std::thread thread_;
};

}  // namespace nereid::llama

#include "backends/llama/decode_engine.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <pthread.h>

namespace nereid::llama {
namespace {

// Room to generate into, so that a sequence is not preempted right after it came in.
constexpr int kHeadroomTokens = 32;
// Ended requests whose receivers have no room for the rest are kept, but not without bound.
constexpr std::size_t kJobsPerSequence = 4;

}  // namespace

DecodeEngine::DecodeEngine(std::unique_ptr<CacheContext> cache, const Vocabulary& vocabulary, const EngineLimits& limits,
                           std::string_view name, std::shared_ptr<Signal> signal, std::shared_ptr<WaitingRoom> waiting_room)
    : limits_(limits),
      vocabulary_(vocabulary),
      signal_(std::move(signal)),
      waiting_room_(std::move(waiting_room)),
      cache_(std::move(cache)),
      usable_cells_(limits.cells) {
  for (SequenceId id = limits_.sequences; id-- > 0;) free_sequences_.push_back(id);
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), fmt::format("llm:{}", name).substr(0, 15).c_str());
}

DecodeEngine::~DecodeEngine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  signal_->Raise();
  thread_.join();
}

void DecodeEngine::Submit(std::unique_ptr<TextJob> job) {
  {
    std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(job));
  }
  signal_->Raise();
}

void DecodeEngine::Run() {
  for (;;) {
    TakeNew();
    {
      std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    DropEnded(std::chrono::steady_clock::now());
    Admit();
    MakeRoom();
    if (!Step()) signal_->Wait(NextDeadline());
  }
  TakeNew();
  Status gone{Code::kUnavailable, "the model is being unloaded", "model_unloading", {}};
  for (auto& job : running_) job->Fail(gone, signal_);
  for (auto& job : waiting_) {
    job->Fail(gone, signal_);
    waiting_room_->Leave();
  }
}

void DecodeEngine::TakeNew() {
  std::vector<std::unique_ptr<TextJob>> arrived;
  {
    std::lock_guard lock(mutex_);
    arrived.swap(inbox_);
  }
  for (auto& job : arrived) waiting_.push_back(std::move(job));
}

void DecodeEngine::DropEnded(SteadyTime now) {
  auto check = [&](TextJob& job) {
    if (job.request.cancellation.cancelled()) {
      Fail(job, {Code::kCancelled, "the request was cancelled", "cancelled", {}});
    } else if (job.request.deadline.Passed(now)) {
      Fail(job, {Code::kDeadlineExceeded, "the request's time ran out", "deadline_exceeded", {}});
    }
  };
  for (auto& job : waiting_) {
    check(*job);
    if (!job->finished()) continue;
    waiting_room_->Leave();
    if (!job->closed()) running_.push_back(std::move(job));
    job.reset();
  }
  std::erase(waiting_, nullptr);
  for (auto& job : running_) {
    check(*job);
    job->Deliver(signal_);
    if (job->closed()) {
      for (Choice& choice : job->choices) Release(choice);
    }
  }
  std::erase_if(running_, [](const auto& job) { return job->closed(); });
}

int DecodeEngine::CommittedCells() const {
  int cells = 0;
  for (const auto& job : running_) {
    bool sharing = false;
    for (const Choice& choice : job->choices) {
      if (!choice.resident) continue;
      cells += job->tokens(choice) - choice.shared;
      sharing |= choice.shared > 0;
    }
    if (sharing) cells += static_cast<int>(job->prompt.size());
  }
  return cells;
}

std::vector<DecodeEngine::Row> DecodeEngine::Resident() {
  std::vector<Row> rows;
  for (auto& job : running_) {
    for (Choice& choice : job->choices) {
      if (choice.resident) rows.push_back({job.get(), &choice});
    }
  }
  return rows;
}

void DecodeEngine::Admit() {
  // Those that gave up their cells come first: they are older than whoever waits.
  for (auto& job : running_) {
    if (job->finished() || job->paused()) continue;
    for (Choice& choice : job->choices) {
      bool wants = !choice.finish && !choice.resident && (job->forked || &choice == job->choices.data());
      if (!wants) continue;
      if (!FindRoom(choice.sequence ? 0 : 1, job->tokens(choice) + kHeadroomTokens)) return;
      TakeSequence(choice);
      choice.resident = true;
    }
  }
  while (!waiting_.empty() && Start(*waiting_.front())) {
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    waiting_room_->Leave();
  }
}

bool DecodeEngine::Start(TextJob& job) {
  if (running_.size() >= kJobsPerSequence * static_cast<std::size_t>(limits_.sequences)) return false;
  int choices = static_cast<int>(job.choices.size());
  if (!FindRoom(choices, static_cast<int>(job.prompt.size()) + kHeadroomTokens * choices)) return false;
  for (Choice& choice : job.choices) TakeSequence(choice);
  job.choices.front().resident = true;
  return true;
}

void DecodeEngine::TakeSequence(Choice& choice) {
  if (choice.sequence) return;
  choice.sequence = free_sequences_.back();
  free_sequences_.pop_back();
}

bool DecodeEngine::FindRoom(int sequences, int cells) {
  for (;;) {
    int committed = CommittedCells();
    bool fits = committed == 0 || committed + cells <= usable_cells_;
    if (fits && sequences <= static_cast<int>(free_sequences_.size())) return true;
    // Whoever reads slowly must not keep the others out.
    std::vector<Row> rows = Resident();
    auto idle = std::ranges::find_if(rows, [](const Row& row) { return row.job->paused(); });
    if (idle == rows.end()) return false;
    Preempt(*idle->choice);
  }
}

void DecodeEngine::MakeRoom() {
  while (CommittedCells() > usable_cells_) {
    std::vector<Row> rows = Resident();
    std::vector<VictimRow> candidates;
    for (const Row& row : rows) candidates.push_back({row.job->tokens(*row.choice) - row.choice->shared, row.job->paused()});
    std::optional<std::size_t> victim = ChooseVictim(candidates);
    // The oldest alone fits: its tokens are bounded by the context, and there are at least as many cells.
    if (!victim) return;
    Preempt(*rows[*victim].choice);
  }
}

bool DecodeEngine::Step() {
  std::vector<Row> rows = Resident();
  std::vector<PlanRow> wishes;
  for (const Row& row : rows) wishes.push_back({row.job->tokens(*row.choice) - row.choice->computed, row.job->paused()});
  std::vector<PlannedRow> plan = PlanStep(wishes, limits_.step);
  if (plan.empty()) return false;

  std::vector<StepRow> step;
  std::vector<std::vector<Token>> copies(plan.size());
  for (std::size_t i = 0; i < plan.size(); ++i) {
    auto [job, choice] = rows[plan[i].row];
    step.push_back({.sequence = *choice->sequence,
                    .position = choice->computed,
                    .tokens = job->TokensFrom(*choice, choice->computed, plan[i].tokens, copies[i]),
                    .wants_logits = plan[i].tokens == wishes[plan[i].row].pending});
  }
  StepEnd end = cache_->Step(step);
  if (end == StepEnd::kNoCells && rows.size() > 1) {
    // Some models' caches hold less than they say (sliding windows): stay below what did not fit.
    Preempt(*rows.back().choice);
    usable_cells_ = std::max(CommittedCells(), limits_.step.tokens);
    return true;
  }
  if (end != StepEnd::kDone) {
    for (const PlannedRow& planned : plan) {
      Fail(*rows[planned.row].job, {Code::kInternal, "the model failed to compute this request", "decode_failed", {}});
    }
    return true;
  }
  for (std::size_t i = 0; i < plan.size(); ++i) {
    auto [job, choice] = rows[plan[i].row];
    choice->computed += plan[i].tokens;
    job->prompt_computed = std::max(job->prompt_computed, std::min(choice->computed, static_cast<int>(job->prompt.size())));
    if (step[i].wants_logits) AfterRow(*job, *choice, cache_->Logits(i));
  }
  // Once a job and step, after all its choices: the receiver is woken once.
  for (auto& job : running_) job->Deliver(signal_);
  return true;
}

void DecodeEngine::AfterRow(TextJob& job, Choice& choice, std::span<float> logits) {
  job.bias->Apply(logits);
  bool parts = !job.forked;
  if (parts) Fork(job);
  for (Choice& each : job.choices) {
    if (&each != &choice && !parts) continue;
    job.Accept(each, each.sampler.Sample(logits), vocabulary_, limits_.context_tokens);
    if (each.finish) Release(each);
  }
}

void DecodeEngine::Fork(TextJob& job) {
  job.forked = true;
  if (job.choices.size() == 1) return;
  Choice& first = job.choices.front();
  for (Choice& choice : job.choices) {
    if (&choice != &first) cache_->Share(*first.sequence, *choice.sequence);
    choice.resident = true;
    choice.computed = choice.shared = first.computed;
  }
}

void DecodeEngine::Release(Choice& choice) {
  if (!choice.sequence) return;
  cache_->Drop(*choice.sequence);
  free_sequences_.push_back(*choice.sequence);
  choice.sequence.reset();
  choice.resident = false;
}

void DecodeEngine::Preempt(Choice& choice) {
  Release(choice);
  choice.computed = choice.shared = 0;
}

void DecodeEngine::Fail(TextJob& job, Status status) {
  for (Choice& choice : job.choices) Release(choice);
  job.Fail(std::move(status), signal_);
}

SteadyTime DecodeEngine::NextDeadline() const {
  SteadyTime next = SteadyTime::max();
  for (const auto& job : running_) {
    if (!job->finished()) next = std::min(next, job->request.deadline.at());
  }
  for (const auto& job : waiting_) next = std::min(next, job->request.deadline.at());
  return next;
}

}  // namespace nereid::llama

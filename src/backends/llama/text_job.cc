#include "backends/llama/text_job.h"

#include <algorithm>

namespace nereid::llama {

std::span<const Token> TextJob::TokensFrom(const Choice& choice, int from, int count, std::vector<Token>& room) const {
  auto first = static_cast<std::size_t>(from), size = static_cast<std::size_t>(count), parted = prompt.size();
  if (first + size <= parted) return std::span(prompt).subspan(first, size);
  if (first >= parted) return std::span(choice.generated).subspan(first - parted, size);
  room.assign(prompt.begin() + from, prompt.end());
  room.insert(room.end(), choice.generated.begin(), choice.generated.begin() + static_cast<std::ptrdiff_t>(first + size - parted));
  return room;
}

void TextJob::Accept(Choice& choice, Token token, const Vocabulary& vocabulary, int context_tokens) {
  choice.generated.push_back(token);
  if (vocabulary.EndsGeneration(token)) {
    choice.finish = FinishReason::kStop;
  } else {
    choice.ready += choice.matcher.Append(choice.utf8.Append(vocabulary.Piece(token)));
    bool enough = request.max_tokens && static_cast<std::int64_t>(choice.generated.size()) >= *request.max_tokens;
    if (choice.matcher.stopped()) {
      choice.finish = FinishReason::kStop;
    } else if (enough || tokens(choice) >= context_tokens) {
      choice.finish = FinishReason::kLength;
    }
  }
  if (choice.finish && !choice.matcher.stopped()) {
    choice.ready += choice.matcher.Append(choice.utf8.Finish());
    choice.ready += choice.matcher.Finish();
  }
}

bool TextJob::finished() const {
  return failure_ || std::ranges::all_of(choices, [](const Choice& choice) { return choice.finish.has_value(); });
}

TokenUsage TextJob::usage() const {
  TokenUsage usage;
  usage.input = prompt_computed;
  for (const Choice& choice : choices) usage.output += static_cast<std::int64_t>(choice.generated.size());
  return usage;
}

bool TextJob::paused() {
  if (room_ && room_->load(std::memory_order_acquire)) room_.reset();
  return room_ != nullptr;
}

bool TextJob::Push(TextEvent& event, const std::shared_ptr<Signal>& signal) {
  switch (receiver_->Push(std::move(event))) {
    case Pushed::kTaken: return true;
    case Pushed::kGone: closed_ = true; return false;
    case Pushed::kFull:
      room_ = std::make_shared<std::atomic<bool>>(false);
      receiver_->OnRoom([room = room_, signal] {
        room->store(true, std::memory_order_release);
        signal->Raise();
      });
      return false;
  }
  return false;
}

void TextJob::Deliver(const std::shared_ptr<Signal>& signal) {
  if (closed_) return;
  // A final event needs no room; should it be refused all the same, it waits like the others.
  if (paused() && (!failure_ || end_refused_)) return;
  if (failure_) {
    TextEvent event{.finish = failure_->code == Code::kCancelled ? FinishReason::kCancelled : FinishReason::kError,
                    .final = true,
                    .usage = usage(),
                    .error = failure_};
    closed_ |= Push(event, signal);
    end_refused_ = !closed_;
    return;
  }
  std::size_t open = static_cast<std::size_t>(std::ranges::count(choices, false, &Choice::reported));
  for (std::size_t i = 0; i < choices.size(); ++i) {
    Choice& choice = choices[i];
    if (choice.reported || (choice.ready.empty() && !choice.finish)) continue;
    TextEvent event{.choice = static_cast<int>(i), .text = std::move(choice.ready), .finish = choice.finish};
    event.final = choice.finish && open == 1;
    if (event.final) event.usage = usage();
    bool final = event.final;
    bool taken = Push(event, signal);
    choice.ready = taken ? std::string() : std::move(event.text);
    if (!taken) return;
    if (choice.finish) {
      choice.reported = true;
      --open;
    }
    closed_ |= final;
  }
}

void TextJob::Fail(Status status, const std::shared_ptr<Signal>& signal) {
  if (closed_ || failure_) return;
  failure_ = std::move(status);
  Deliver(signal);
}

}  // namespace nereid::llama

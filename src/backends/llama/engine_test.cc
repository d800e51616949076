// The whole engine on a tiny random model. Answers are steered with logit_bias where a test needs to know them.
#include <unistd.h>

#include <gtest/gtest.h>

#include "backends/llama/gguf_check.h"
#include "backends/llama/llama_generator.h"
#include "backends/llama/tiny_gguf_for_test.h"

namespace nereid::llama {
namespace {

constexpr float kSurely = 1000;

// Takes what comes; can play a slow or a vanished client.
class Listener final : public TextReceiver {
 public:
  Pushed Push(TextEvent&& event) override {
    std::lock_guard lock(mutex_);
    ++pushes_;
    changed_.notify_all();
    if (gone_) return Pushed::kGone;
    if (room_ == 0 && !event.final) return Pushed::kFull;
    if (room_ > 0) --room_;
    if (final_) ++events_after_final_;
    EXPECT_LT(event.choice, 8);
    text_[event.choice] += event.text;
    if (event.finish) finish_[event.choice] = event.finish;
    if (event.final) final_ = std::move(event);
    return Pushed::kTaken;
  }
  void OnRoom(std::function<void()> wake) override {
    std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
    changed_.notify_all();
  }

  void TakeOnly(int events) { room_ = events; }
  void GoAway() { gone_ = true; }
  void WaitUntilFull() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [this] { return wake_ != nullptr; }));
  }
  void WaitForAPush() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [this] { return pushes_ > 0; }));
  }
  void MakeRoom() {
    std::function<void()> wake;
    {
      std::lock_guard lock(mutex_);
      room_ = -1;
      wake.swap(wake_);
    }
    wake();
  }
  TextEvent WaitForTheEnd() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [this] { return final_.has_value(); }));
    EXPECT_EQ(events_after_final_, 0);
    return final_.value_or(TextEvent{});
  }
  std::string text(int choice = 0) { return text_[choice]; }
  std::optional<FinishReason> finish(int choice = 0) { return finish_[choice]; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int room_ = -1;  // events; -1: any number
  bool gone_ = false;
  int pushes_ = 0, events_after_final_ = 0;
  std::string text_[8];
  std::optional<FinishReason> finish_[8];
  std::optional<TextEvent> final_;
  std::function<void()> wake_;
};

constexpr EngineLimits kLimits{
    .sequences = 4, .context_tokens = 128, .cells = 512, .waiting = 8, .step = {.tokens = 64, .mixed_tokens = 32, .chunk_tokens_min = 8}};

std::unique_ptr<LlamaGenerator> MakeGenerator(EngineLimits limits = kLimits) {
  static auto runtime = std::make_shared<Runtime>(nullptr, 1);
  std::string file = "/tmp/nereid_tiny_" + std::to_string(getpid()) + ".gguf";
  TinyGguf().Write(file);
  EXPECT_TRUE(CheckGguf(file).has_value());
  auto weights = Weights::Load(file);
  std::filesystem::remove(file);
  EXPECT_TRUE(weights.has_value()) << weights.error().message;
  auto cache =
      CacheContext::Make(runtime, **weights, {.cells = limits.cells, .sequences = limits.sequences, .step_tokens = limits.step.tokens});
  EXPECT_TRUE(cache.has_value()) << cache.error().message;
  auto chat = ChatTemplate::Of((*weights)->model());
  return std::make_unique<LlamaGenerator>(*std::move(weights), std::move(chat), *std::move(cache), limits, "tiny");
}

Token TokenOf(char byte) {
  return static_cast<Token>(TinyGguf::kByte0) + static_cast<std::uint8_t>(byte);
}

TextRequest Ask(std::string prompt, std::int64_t max_tokens) {
  TextRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  return request;
}

// Answers with `byte` again and again.
TextRequest AskFor(char byte, std::int64_t max_tokens) {
  TextRequest request = Ask("go", max_tokens);
  request.sampling.logit_bias = {{TokenOf(byte), kSurely}};
  return request;
}

TextEvent Answer(LlamaGenerator& generator, TextRequest request, const std::shared_ptr<Listener>& listener = std::make_shared<Listener>()) {
  generator.Generate(std::move(request), listener);
  return listener->WaitForTheEnd();
}

TEST(LlamaEngine, CountsThePromptWithItsBeginTokenAndStopsAtMaxTokens) {
  auto generator = MakeGenerator();
  auto listener = std::make_shared<Listener>();
  TextEvent end = Answer(*generator, AskFor('a', 5), listener);
  EXPECT_FALSE(end.error.has_value());
  EXPECT_EQ(listener->text(), "aaaaa");
  EXPECT_EQ(listener->finish(), FinishReason::kLength);
  EXPECT_EQ(end.usage, (TokenUsage{.input = 3, .output = 5}));
  EXPECT_EQ(generator->CountTokens("go").value(), 3);
}

TEST(LlamaEngine, StopsAtTheEndTokenWithoutShowingIt) {
  auto generator = MakeGenerator();
  auto listener = std::make_shared<Listener>();
  TextRequest request = Ask("go", 5);
  request.sampling.logit_bias = {{static_cast<Token>(TinyGguf::kEos), kSurely}};
  EXPECT_EQ(Answer(*generator, request, listener).usage.output, 1);
  EXPECT_EQ(listener->text(), "");
  EXPECT_EQ(listener->finish(), FinishReason::kStop);

  request.ignore_eos = true;
  listener = std::make_shared<Listener>();
  EXPECT_EQ(Answer(*generator, request, listener).usage.output, 5);
  EXPECT_EQ(listener->finish(), FinishReason::kLength);
}

TEST(LlamaEngine, CutsAStopStringButCountsItsTokens) {
  auto generator = MakeGenerator();
  auto listener = std::make_shared<Listener>();
  TextRequest request = AskFor('a', 10);
  request.stop = {"aaa"};
  EXPECT_EQ(Answer(*generator, request, listener).usage.output, 3);
  EXPECT_EQ(listener->text(), "");
  EXPECT_EQ(listener->finish(), FinishReason::kStop);
}

TEST(LlamaEngine, EndsWithLengthWhenTheContextIsFull) {
  auto generator = MakeGenerator();
  auto listener = std::make_shared<Listener>();
  TextRequest request = AskFor('a', 0);
  request.max_tokens.reset();
  EXPECT_EQ(Answer(*generator, request, listener).usage, (TokenUsage{.input = 3, .output = 125}));
  EXPECT_EQ(listener->finish(), FinishReason::kLength);
}

TEST(LlamaEngine, RefusesAPromptLongerThanTheContextWithBothNumbers) {
  auto generator = MakeGenerator();
  TextEvent end = Answer(*generator, Ask(std::string(200, 'x'), 5));
  ASSERT_TRUE(end.error.has_value());
  EXPECT_EQ(end.error->reason, "context_length_exceeded");
  EXPECT_NE(end.error->message.find("maximum context length is 128 tokens"), std::string::npos);
  EXPECT_NE(end.error->message.find("resulted in 201 tokens"), std::string::npos);
  end = Answer(*generator, Ask(std::string(100'000, 'x'), 5));
  EXPECT_EQ(end.error.value_or(Status{}).reason, "context_length_exceeded");
}

TEST(LlamaEngine, RefusesSamplingOutOfRange) {
  auto generator = MakeGenerator();
  TextRequest request = Ask("go", 5);
  request.sampling.top_p = 2;
  EXPECT_EQ(Answer(*generator, request).error.value_or(Status{}).code, Code::kInvalidArgument);
  request = Ask("go", 5);
  request.n = 5;
  EXPECT_EQ(Answer(*generator, request).error.value_or(Status{}).code, Code::kInvalidArgument);
  request = Ask("go", 5);
  request.sampling.logit_bias = {{1 << 20, 1.0f}};
  EXPECT_EQ(Answer(*generator, request).error.value_or(Status{}).code, Code::kInvalidArgument);
}

TEST(LlamaEngine, EchoesThePromptAndAnswersNothingForZeroTokens) {
  auto generator = MakeGenerator();
  auto listener = std::make_shared<Listener>();
  TextRequest request = AskFor('a', 2);
  request.echo = true;
  Answer(*generator, request, listener);
  EXPECT_EQ(listener->text(), "goaa");

  request.max_tokens = 0;
  listener = std::make_shared<Listener>();
  EXPECT_EQ(Answer(*generator, request, listener).usage, (TokenUsage{.input = 3}));
  EXPECT_EQ(listener->text(), "go");
  EXPECT_EQ(listener->finish(), FinishReason::kLength);
}

TEST(LlamaEngine, RendersChatsWithATemplate) {
  auto generator = MakeGenerator();
  auto listener = std::make_shared<Listener>();
  TextRequest request = AskFor('a', 2);
  request.prompt.reset();
  request.messages = {{.role = "user", .content = "hi", .name = {}}};
  TextEvent end = Answer(*generator, request, listener);
  EXPECT_EQ(listener->text(), "aa");
  // ChatML: "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n" in bytes, and the begin token.
  EXPECT_EQ(end.usage.input, 52 + 1);
}

TEST(LlamaEngine, GivesTheSameAnswerForTheSameSeedAndOthersForItsChoices) {
  auto generator = MakeGenerator();
  TextRequest request = Ask("go", 12);
  request.sampling.temperature = 1.5;
  request.sampling.seed = 42;
  request.n = 3;
  auto first = std::make_shared<Listener>(), second = std::make_shared<Listener>();
  TextEvent end = Answer(*generator, request, first);
  Answer(*generator, request, second);
  EXPECT_EQ(end.usage.input, 3);
  for (int choice = 0; choice < 3; ++choice) {
    EXPECT_TRUE(first->finish(choice).has_value());
    EXPECT_EQ(first->text(choice), second->text(choice));
  }
  EXPECT_NE(first->text(0), first->text(1));
  EXPECT_NE(first->text(1), first->text(2));
}

TEST(LlamaEngine, PenaltiesKeepItFromRepeatingItself) {
  auto generator = MakeGenerator();
  auto listener = std::make_shared<Listener>();
  TextRequest request = Ask("go", 4);
  request.sampling.logit_bias = {{TokenOf('a'), 100}, {TokenOf('b'), 90}};
  request.sampling.frequency_penalty = 20;
  Answer(*generator, request, listener);
  EXPECT_EQ(listener->text().substr(0, 2), "ab");
}

TEST(LlamaEngine, AnswersEverybodyWhenTheCellsRunOut) {
  EngineLimits limits = kLimits;
  limits.cells = limits.context_tokens;
  auto generator = MakeGenerator(limits);
  std::vector<std::shared_ptr<Listener>> listeners;
  for (int i = 0; i < 8; ++i) {
    listeners.push_back(std::make_shared<Listener>());
    generator->Generate(AskFor(static_cast<char>('a' + i), 100), listeners.back());
  }
  for (int i = 0; i < 8; ++i) {
    TextEvent end = listeners[static_cast<std::size_t>(i)]->WaitForTheEnd();
    EXPECT_FALSE(end.error.has_value());
    EXPECT_EQ(listeners[static_cast<std::size_t>(i)]->text(), std::string(100, static_cast<char>('a' + i)));
    EXPECT_EQ(end.usage, (TokenUsage{.input = 3, .output = 100}));
  }
}

TEST(LlamaEngine, GoesOnWithTheSameTextAfterItsCellsWereTaken) {
  // Short enough that rounding, which differs with the batch, does not change a random model's mind.
  TextRequest request = Ask("tell me", 40);
  auto alone = std::make_shared<Listener>();
  Answer(*MakeGenerator(), request, alone);
  EngineLimits limits = kLimits;
  limits.cells = limits.context_tokens = 64;
  auto generator = MakeGenerator(limits);
  std::vector<std::shared_ptr<Listener>> listeners;
  for (int i = 0; i < 4; ++i) {
    listeners.push_back(std::make_shared<Listener>());
    generator->Generate(request, listeners.back());
  }
  for (auto& listener : listeners) {
    listener->WaitForTheEnd();
    EXPECT_EQ(listener->text(), alone->text());
  }
}

TEST(LlamaEngine, WaitsForASlowReaderAndLosesNothing) {
  auto generator = MakeGenerator();
  auto slow = std::make_shared<Listener>(), other = std::make_shared<Listener>();
  slow->TakeOnly(2);
  generator->Generate(AskFor('s', 20), slow);
  slow->WaitUntilFull();
  EXPECT_EQ(slow->text(), "ss");
  Answer(*generator, AskFor('o', 20), other);
  EXPECT_EQ(other->text(), std::string(20, 'o'));
  slow->MakeRoom();
  slow->WaitForTheEnd();
  EXPECT_EQ(slow->text(), std::string(20, 's'));
}

TEST(LlamaEngine, SlowReadersDoNotKeepOthersOut) {
  auto generator = MakeGenerator();
  std::vector<std::shared_ptr<Listener>> slow;
  for (int i = 0; i < kLimits.sequences; ++i) {
    slow.push_back(std::make_shared<Listener>());
    slow.back()->TakeOnly(1);
    generator->Generate(AskFor('s', 20), slow.back());
    slow.back()->WaitUntilFull();
  }
  auto other = std::make_shared<Listener>();
  Answer(*generator, AskFor('o', 20), other);
  EXPECT_EQ(other->text(), std::string(20, 'o'));
  for (auto& listener : slow) {
    listener->MakeRoom();
    listener->WaitForTheEnd();
    EXPECT_EQ(listener->text(), std::string(20, 's'));
  }
}

TEST(LlamaEngine, RefusesMoreThanMayWaitAtOnce) {
  EngineLimits limits = kLimits;
  limits.sequences = 1;
  limits.waiting = 1;
  auto generator = MakeGenerator(limits);
  std::vector<std::shared_ptr<Listener>> stuck;
  for (int i = 0; i < 4; ++i) {
    stuck.push_back(std::make_shared<Listener>());
    stuck.back()->TakeOnly(0);
    generator->Generate(AskFor('s', 5), stuck.back());
    stuck.back()->WaitUntilFull();
  }
  auto waits = std::make_shared<Listener>();
  generator->Generate(AskFor('w', 5), waits);
  TextEvent end = Answer(*generator, AskFor('x', 5));
  EXPECT_EQ(end.error.value_or(Status{}).code, Code::kUnavailable);
  EXPECT_EQ(end.error.value_or(Status{}).reason, "queue_full");
  for (auto& listener : stuck) listener->MakeRoom();
  waits->WaitForTheEnd();
  EXPECT_EQ(waits->text(), "wwwww");
}

TEST(LlamaEngine, EndsACancelledRequestWithItsUsage) {
  auto generator = MakeGenerator();
  auto listener = std::make_shared<Listener>();
  listener->TakeOnly(2);
  TextRequest request = AskFor('a', 20);
  generator->Generate(request, listener);
  listener->WaitUntilFull();
  request.cancellation.Cancel();
  // Although the listener is still full.
  TextEvent end = listener->WaitForTheEnd();
  EXPECT_EQ(end.error.value_or(Status{}).code, Code::kCancelled);
  EXPECT_EQ(end.finish, FinishReason::kCancelled);
  EXPECT_EQ(end.usage, (TokenUsage{.input = 3, .output = 3}));
}

TEST(LlamaEngine, EndsARequestWhoseTimeRanOut) {
  auto generator = MakeGenerator();
  TextRequest request = AskFor('a', 20);
  request.deadline = Deadline(std::chrono::steady_clock::now() - std::chrono::seconds(1));
  EXPECT_EQ(Answer(*generator, request).error.value_or(Status{}).code, Code::kDeadlineExceeded);
}

TEST(LlamaEngine, ForgetsAReaderThatWentAway) {
  EngineLimits limits = kLimits;
  limits.sequences = 1;
  auto generator = MakeGenerator(limits);
  for (int i = 0; i < 6; ++i) {
    auto gone = std::make_shared<Listener>();
    gone->GoAway();
    generator->Generate(AskFor('g', 20), gone);
    gone->WaitForAPush();
  }
  auto other = std::make_shared<Listener>();
  Answer(*generator, AskFor('o', 3), other);
  EXPECT_EQ(other->text(), "ooo");
}

TEST(LlamaEngine, TellsEverybodyWhenItIsUnloaded) {
  auto generator = MakeGenerator();
  auto listener = std::make_shared<Listener>();
  listener->TakeOnly(1);
  generator->Generate(AskFor('a', 100), listener);
  listener->WaitUntilFull();
  auto queued = std::make_shared<Listener>();
  queued->TakeOnly(0);
  generator->Generate(AskFor('b', 100), queued);
  listener->MakeRoom();
  generator.reset();
  EXPECT_TRUE(queued->WaitForTheEnd().error.has_value());
}

}  // namespace
}  // namespace nereid::llama

#include "protocol/openai/render.h"

#include <gtest/gtest.h>

namespace nereid::openai {
namespace {

const TokenUsage kUsage{3, 1, 0, 2, 0};

TEST(Renderer, AUnaryAnswerIsOneObjectWithEachChoice) {
  Renderer renderer(Operation::kChatCompletions, "chatcmpl-1", 7, "m", false, false);
  EXPECT_EQ(renderer.Delta(1, "b", FinishReason::kLength), "");
  EXPECT_EQ(renderer.Delta(0, "a\"", std::nullopt), "");
  EXPECT_EQ(renderer.Delta(0, "c", FinishReason::kStop), "");
  EXPECT_EQ(renderer.Finish(kUsage),
            R"({"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m","choices":[)"
            R"({"index":0,"message":{"role":"assistant","content":"a\"c","refusal":null},"logprobs":null,"finish_reason":"stop"},)"
            R"({"index":1,"message":{"role":"assistant","content":"b","refusal":null},"logprobs":null,"finish_reason":"length"}],)"
            R"("usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}})");
}

TEST(Renderer, AStreamHasTheRoleFirstTheReasonAloneAndUsageWhereItWasAskedFor) {
  Renderer renderer(Operation::kChatCompletions, "c", 7, "m", true, true);
  const std::string head = R"(data: {"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[)";
  EXPECT_EQ(renderer.Delta(0, "a", std::nullopt),
            head + R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null})" + "\n\n" +
                head + R"({"index":0,"delta":{"content":"a"},"logprobs":null,"finish_reason":null}],"usage":null})" + "\n\n");
  EXPECT_EQ(renderer.Delta(0, "b", FinishReason::kStop),
            head + R"({"index":0,"delta":{"content":"b"},"logprobs":null,"finish_reason":null}],"usage":null})" + "\n\n" + head +
                R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null})" + "\n\n");
  EXPECT_EQ(renderer.Finish(kUsage),
            head + R"(],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}})" + "\n\ndata: [DONE]\n\n");
}

TEST(Renderer, ACompletionStreamHasText) {
  Renderer renderer(Operation::kCompletions, "c", 7, "m", true, false);
  EXPECT_EQ(renderer.Delta(0, "a", FinishReason::kLength),
            R"(data: {"id":"c","object":"text_completion","created":7,"model":"m","choices":[)"
            R"({"index":0,"text":"a","logprobs":null,"finish_reason":"length"}]})"
            "\n\n");
  EXPECT_EQ(renderer.Finish(kUsage), "data: [DONE]\n\n");
}

}  // namespace
}  // namespace nereid::openai

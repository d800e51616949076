#include "protocol/openai/text_request.h"

#include <gtest/gtest.h>

namespace nereid::openai {
namespace {

TEST(ChatRequest, ReadsMessagesPartsAndSampling) {
  auto request = ParseChatRequest(R"({"model":"m","messages":[
      {"role":"developer","content":"be brief"},
      {"role":"user","name":"ann","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}],
      "temperature":0,"top_p":0.5,"top_k":3,"seed":7,"stop":["x","y"],"max_tokens":9,"max_completion_tokens":5,"n":2,
      "logit_bias":{"12":-100},"ignore_eos":true,"metadata":{"nobody":"reads this"}})");
  ASSERT_TRUE(request) << request.error().message;
  ASSERT_EQ(request->messages.size(), 2u);
  EXPECT_EQ(request->messages[0].role, "system");
  EXPECT_EQ(request->messages[1].content, "ab");
  EXPECT_EQ(request->messages[1].name, "ann");
  EXPECT_EQ(request->sampling.temperature, 0);
  EXPECT_EQ(request->sampling.top_k, 3);
  EXPECT_EQ(request->sampling.seed, 7u);
  EXPECT_EQ(request->stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(request->max_tokens, 5);
  EXPECT_EQ(request->n, 2);
  EXPECT_TRUE(request->ignore_eos);
  ASSERT_EQ(request->sampling.logit_bias.size(), 1u);
  EXPECT_EQ(request->sampling.logit_bias[0].first, 12);
}

TEST(ChatRequest, WhatCannotBeHonouredIsNamed) {
  struct Row {
    std::string body, field, reason;
  };
  const std::string messages = R"("messages":[{"role":"user","content":"x"}])";
  for (const Row& row : {
           Row{R"({})", "messages", "invalid_value"},
           Row{R"({"messages":[]})", "messages", "invalid_value"},
           Row{R"({"messages":"x"})", "messages", "invalid_value"},
           Row{R"({"messages":[{"role":"robot","content":"x"}]})", "messages[0].role", "invalid_value"},
           Row{R"({"messages":[{"role":"user"}]})", "messages[0].content", "invalid_value"},
           Row{R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}]})",
               "messages[0].content.type: image_url", "unsupported_parameter"},
           Row{"{" + messages + R"(,"tools":[{"type":"function"}]})", "tools", "unsupported_parameter"},
           Row{"{" + messages + R"(,"logprobs":true})", "logprobs", "unsupported_parameter"},
           Row{"{" + messages + R"(,"response_format":{"type":"json_object"}})", "response_format", "unsupported_parameter"},
           Row{"{" + messages + R"(,"temperature":3})", "temperature", "invalid_value"},
           Row{"{" + messages + R"(,"temperature":"hot"})", "temperature", "invalid_value"},
           Row{"{" + messages + R"(,"stop":[1]})", "stop", "invalid_value"},
           Row{"{" + messages + R"(,"logit_bias":{"a":1}})", "logit_bias", "invalid_value"},
       }) {
    auto request = ParseChatRequest(row.body);
    ASSERT_FALSE(request) << row.body;
    EXPECT_EQ(request.error().detail, row.field) << row.body;
    EXPECT_EQ(request.error().reason, row.reason) << row.body;
    EXPECT_EQ(request.error().code, Code::kInvalidArgument) << row.body;
  }
  EXPECT_TRUE(ParseChatRequest("{" + messages + R"(,"tools":[],"logprobs":false,"response_format":{"type":"text"}})"));
}

TEST(CompletionRequest, TakesTextOrTokens) {
  EXPECT_EQ(ParseCompletionRequest(R"({"prompt":"a"})")->prompt, "a");
  EXPECT_EQ(ParseCompletionRequest(R"({"prompt":["a"]})")->prompt, "a");
  EXPECT_EQ(ParseCompletionRequest(R"({"prompt":[1,2]})")->prompt_tokens, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(ParseCompletionRequest(R"({"prompt":"a"})")->max_tokens, 16);
  for (const char* body : {R"({})", R"({"prompt":7})", R"({"prompt":[]})", R"({"prompt":["a","b"]})", R"({"prompt":[-1]})",
                           R"({"prompt":"a","best_of":3})", R"({"prompt":"a","suffix":"b"})", R"({"prompt":"a","echo":1})"})
    EXPECT_FALSE(ParseCompletionRequest(body)) << body;
}

}  // namespace
}  // namespace nereid::openai

// What is read of requests and answers in the OpenAI dialect.
#include <fmt/format.h>

#include "base/golden_for_test.h"
#include "protocol/openai/locate.h"
#include "protocol/openai/usage_scan.h"

namespace nereid::openai {
namespace {

TEST(OpenAiGolden, LocatedFieldsAndWhatAProviderGets) {
  RunGolden(NEREID_GOLDEN_DIR "/openai/locate.case", [](const GoldenCase& one) -> std::string {
    const std::string& body = one.input[0];
    auto fields = Locate(body);
    if (!fields) return fmt::format("{} [{}] {}", fields.error().message, fields.error().reason, fields.error().detail);
    std::string out = fmt::format("model={}", fields->model);
    if (fields->stream) out += " stream";
    if (fields->include_usage) out += " include_usage";
    if (fields->max_tokens) out += fmt::format(" max_tokens={}", *fields->max_tokens);
    if (fields->n != 1) out += fmt::format(" n={}", fields->n);
    if (!fields->service_tier.empty()) out += " service_tier=" + fields->service_tier;
    if (!fields->user.empty()) out += " user=" + fields->user;
    out += '\n';
    Spliced spliced = SpliceRequest(body, *fields, R"("up")");
    std::size_t begin = out.size();
    for (std::size_t i = 0; i < spliced.count; ++i) out += spliced.pieces[i];
    EXPECT_EQ(out.size() - begin, spliced.bytes);
    return out;
  });
}

TEST(OpenAiGolden, WhatIsReadOfAnswers) {
  RunGolden(NEREID_GOLDEN_DIR "/openai/scan.case", [](const GoldenCase& one) -> std::string {
    const std::string& text = one.input[0];
    auto scanned = Scan(text);
    if (!scanned) return "not an object";
    std::string out = fmt::format("model={}", text.substr(scanned->model_begin, scanned->model_end - scanned->model_begin));
    if (scanned->empty_choices) out += " empty_choices";
    if (scanned->has_error) out += " error";
    if (!scanned->usage) return out + " no usage";
    const TokenUsage& usage = *scanned->usage;
    return out + fmt::format(" input={} cache_read={} cache_write={} output={} reasoning={}", usage.input, usage.cache_read,
                             usage.cache_write, usage.output, usage.reasoning);
  });
}

}  // namespace
}  // namespace nereid::openai

#include "backends/llama/weights.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "backends/llama/tiny_gguf_for_test.h"

namespace nereid::llama {
namespace {

std::unique_ptr<Weights> LoadBytes(const std::string& bytes) {
  auto file = std::filesystem::temp_directory_path() / ("nereid_weights_" + std::to_string(getpid()) + ".gguf");
  std::ofstream(file, std::ios::binary) << bytes;
  auto weights = Weights::Load(file);
  std::filesystem::remove(file);
  EXPECT_TRUE(weights.has_value()) << weights.error().message;
  return weights ? *std::move(weights) : nullptr;
}

TEST(Vocabulary, GivesTheBeginTokenAndBytes) {
  auto weights = LoadBytes(TinyGguf().Bytes());
  auto tokens = weights->vocabulary().Tokenize("a\n").value();
  EXPECT_EQ(tokens, (std::vector<Token>{TinyGguf::kBos, TinyGguf::kByte0 + 'a', TinyGguf::kByte0 + '\n'}));
  EXPECT_EQ(weights->vocabulary().Text(tokens), "a\n");
}

TEST(Vocabulary, RefusesTextThatItHasNoTokensFor) {
  std::string bytes = TinyGguf().Bytes();
  bytes.replace(bytes.find("<0x61>"), 6, "<0x6z>");
  auto weights = LoadBytes(bytes);
  EXPECT_TRUE(weights->vocabulary().Tokenize("b").has_value());
  EXPECT_EQ(weights->vocabulary().Tokenize("a").error().code, Code::kInvalidArgument);
  EXPECT_EQ(weights->vocabulary().Piece(TinyGguf::kByte0 + 'b'), "b");
}

TEST(Vocabulary, KnowsItsEndToken) {
  auto weights = LoadBytes(TinyGguf().Bytes());
  EXPECT_TRUE(weights->vocabulary().EndsGeneration(TinyGguf::kEos));
  EXPECT_FALSE(weights->vocabulary().EndsGeneration(TinyGguf::kByte0));
  EXPECT_EQ(weights->training_context_tokens(), TinyGguf::kContext);
}

}  // namespace
}  // namespace nereid::llama

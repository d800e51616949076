#include "backends/llama/gguf_check.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "backends/llama/tiny_gguf_for_test.h"

namespace nereid::llama {
namespace {

Result<GgufSummary> CheckBytes(const std::string& bytes) {
  auto file = std::filesystem::temp_directory_path() / ("gguf_check_" + std::to_string(getpid()) + ".gguf");
  std::ofstream(file, std::ios::binary) << bytes;
  auto result = CheckGguf(file);
  std::filesystem::remove(file);
  return result;
}

std::string MessageFor(const std::string& bytes) {
  auto result = CheckBytes(bytes);
  return result ? "accepted" : result.error().message;
}

TEST(CheckGguf, AcceptsTheTinyModel) {
  auto summary = CheckBytes(TinyGguf().Bytes());
  ASSERT_TRUE(summary.has_value()) << summary.error().message;
  EXPECT_EQ(summary->architecture, "llama");
  EXPECT_EQ(summary->tensor_count, 3u + 2 * 9);
}

TEST(CheckGguf, NamesTheFileAndTheFault) {
  std::string message = MessageFor("GGXX" + TinyGguf().Bytes().substr(4));
  EXPECT_NE(message.find(".gguf: "), std::string::npos) << message;
  EXPECT_NE(message.find("does not begin with 'GGUF'"), std::string::npos) << message;
}

TEST(CheckGguf, RefusesEveryTruncation) {
  std::string whole = TinyGguf().Bytes();
  for (std::size_t size :
       {std::size_t{0}, std::size_t{3}, std::size_t{4}, std::size_t{23}, std::size_t{100}, whole.size() / 2, whole.size() - 32}) {
    EXPECT_NE(MessageFor(whole.substr(0, size)), "accepted") << size;
  }
}

TEST(CheckGguf, RefusesHugeCountsWithoutReadingThem) {
  EXPECT_NE(MessageFor(std::string("GGUF\x03\0\0\0", 8) + std::string(64, '\xff')).find("18446744073709551615 tensors"), std::string::npos);
}

TEST(CheckGguf, RefusesATensorOfAnUnknownType) {
  std::string bytes = TinyGguf().Bytes();
  std::size_t type_at = bytes.find("output_norm.weight") + 18 + 4 + 8;
  bytes[type_at] = 99;
  EXPECT_NE(MessageFor(bytes).find("'output_norm.weight' has the unknown type 99"), std::string::npos) << MessageFor(bytes);
}

TEST(CheckGguf, RefusesAnAbsurdLayerCount) {
  std::string bytes = TinyGguf().Bytes();
  std::size_t value_at = bytes.find("llama.block_count") + 17 + 4;
  bytes[value_at + 3] = 0x7f;
  EXPECT_NE(MessageFor(bytes).find("layers"), std::string::npos) << MessageFor(bytes);
}

TEST(CheckGguf, RefusesTwoTokensOfTheSameText) {
  std::string bytes = TinyGguf().Bytes();
  bytes[bytes.find("word1") + 4] = '0';
  EXPECT_NE(MessageFor(bytes).find("has the text of another token"), std::string::npos) << MessageFor(bytes);
}

TEST(CheckGguf, RefusesANegativeEpsilon) {
  std::string bytes = TinyGguf().Bytes();
  bytes[bytes.find("rms_epsilon") + 11 + 4 + 3] = '\xff';
  EXPECT_NE(MessageFor(bytes).find("rms_epsilon' is -"), std::string::npos) << MessageFor(bytes);
}

TEST(CheckGguf, SaysWhenTheFileIsMissing) {
  EXPECT_EQ(CheckGguf("/nowhere/model.gguf").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace nereid::llama

#include "net/body.h"

#include <gtest/gtest.h>

namespace nereid::net {
namespace {

Result<std::string> Decode(std::string_view input, std::size_t piece) {
  ChunkDecoder decoder;
  std::string body;
  for (std::size_t at = 0; at < input.size(); at += piece) {
    std::string_view rest = input.substr(at, piece);
    while (!rest.empty()) {
      TRY(auto step, decoder.Next(rest));
      body += step.data;
      rest.remove_prefix(step.consumed);
      if (step.done) return body;
    }
  }
  return Error(Code::kUnavailable, "not done");
}

TEST(ChunkDecoder, ReadsAnySplitTheSame) {
  std::string wire = "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
  for (std::size_t piece = 1; piece <= wire.size(); ++piece) EXPECT_EQ(Decode(wire, piece), "abc0123456789") << piece;
}

TEST(ChunkDecoder, RefusesBrokenFraming) {
  for (const char* wire : {"z\r\n", "\r\n", "-1\r\n", "3\nabc", "3\r\nabcd\r\n", "1\r\na\n", "0\r\n\n", "ffffffffffffffff1\r\n"}) {
    EXPECT_EQ(Decode(wire, 100).error().code, Code::kInvalidArgument) << wire;
  }
}

TEST(ChunkDecoder, CountsChunksThatHoldSomething) {
  std::string wire;
  for (int i = 0; i < ChunkDecoder::kChunksMax; ++i) wire += "1\r\na\r\n";
  EXPECT_EQ(Decode(wire + "0\r\n\r\n", 4096)->size(), 65536u);
  EXPECT_FALSE(Decode(wire + "1\r\na\r\n0\r\n\r\n", 4096));
}

TEST(BodyBuffer, EndsAlignedPaddedAndChargedUntilDropped) {
  auto budget = std::make_shared<ByteBudget>(10'000);
  {
    BodyBuffer buffer(budget, 100'000);
    ASSERT_TRUE(buffer.Append(std::string(5000, 'x')));
    Body body = buffer.Finish();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(body.data) % 64, 0u);
    EXPECT_EQ(body.data[5000], 0);
    EXPECT_EQ(body.data[5063], 0);
    EXPECT_FALSE(budget->Take(6000));
  }
  EXPECT_TRUE(budget->Take(10'000));
}

TEST(BodyBuffer, ErasesFromItsMiddle) {
  BodyBuffer buffer(nullptr, 100);
  ASSERT_TRUE(buffer.Append("0123456789"));
  buffer.Erase(2, 5);
  ASSERT_TRUE(buffer.Append("x"));
  EXPECT_EQ(buffer.view(), "01789x");
  buffer.Erase(1, 5);
  EXPECT_EQ(buffer.Finish().view(), "0");
}

TEST(BudgetShare, GoesBackOnce) {
  auto budget = std::make_shared<ByteBudget>(100);
  BudgetShare share;
  ASSERT_TRUE(share.Take(budget, 60));
  BudgetShare moved = std::move(share), none;
  EXPECT_FALSE(none.Take(budget, 60));
  EXPECT_TRUE(none.Take(nullptr, 1000));
  EXPECT_TRUE(moved.Take(budget, 90));
  moved = BudgetShare();
  EXPECT_TRUE(budget->Take(100));
  EXPECT_FALSE(budget->Take(1));
}

TEST(BodyBuffer, AlignsTheByteThatMatters) {
  BodyBuffer buffer(nullptr, 1 << 20, 131);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(buffer.Append(std::string(1000, static_cast<char>('a' + i % 26))));
  Body body = buffer.Finish();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(body.data + 131) % 64, 0u);
  EXPECT_EQ(std::string(body.data + 26'000, 1000), std::string(1000, 'a'));
}

TEST(BodyBuffer, RefusesMoreThanItsLimitAndMoreThanTheBudget) {
  BodyBuffer small(nullptr, 10);
  EXPECT_EQ(small.Append(std::string(11, 'x')).error().code, Code::kTooLarge);
  BodyBuffer poor(std::make_shared<ByteBudget>(10), 1000);
  EXPECT_EQ(poor.Append(std::string(11, 'x')).error().code, Code::kUnavailable);
}

TEST(Compression, ComesBackTheSame) {
  std::string text(100'000, 'a');
  std::string_view pieces[] = {std::string_view(text).substr(0, 10), std::string_view(text).substr(10)};
  for (Encoding encoding : {Encoding::kGzip, Encoding::kDeflate}) {
    std::string packed = Deflate(encoding, pieces);
    EXPECT_LT(packed.size(), 1000u);
    BodyBuffer out(nullptr, 1 << 20);
    ASSERT_TRUE(Inflate(encoding, packed, out));
    EXPECT_EQ(out.view(), text);
    BodyBuffer bounded(nullptr, 1000);
    EXPECT_EQ(Inflate(encoding, packed, bounded).error().code, Code::kTooLarge);
    BodyBuffer cut(nullptr, 1 << 20);
    EXPECT_FALSE(Inflate(encoding, std::string_view(packed).substr(0, packed.size() / 2), cut));
  }
}

TEST(ChooseEncoding, TakesTheHighestQAndHonoursZero) {
  EXPECT_EQ(ChooseEncoding("gzip, deflate"), Encoding::kGzip);
  EXPECT_EQ(ChooseEncoding("gzip;q=0.5, deflate;q=0.8"), Encoding::kDeflate);
  EXPECT_EQ(ChooseEncoding("gzip;q=0"), Encoding::kIdentity);
  EXPECT_EQ(ChooseEncoding("identity, gzip"), Encoding::kIdentity);
  EXPECT_EQ(ChooseEncoding("br"), Encoding::kIdentity);
  EXPECT_EQ(ChooseEncoding(""), Encoding::kIdentity);
}

}  // namespace
}  // namespace nereid::net

#include "grpc/framing.h"

#include <cstring>

#include <gtest/gtest.h>

namespace nereid::grpc_front {
namespace {

std::string Framed(const std::string& content, bool compressed = false) {
  std::string prefix(kPrefixBytes, '\0');
  WritePrefix(prefix.data(), compressed, content.size());
  return prefix + content;
}

class MessageReaderTest : public testing::Test {
 protected:
  Result<Nothing> Take(MessageReader& reader, std::string_view bytes) { return Take(std::move(reader), bytes); }
  // All messages that end in `bytes`.
  Result<Nothing> Take(MessageReader&& reader, std::string_view bytes) {
    for (;;) {
      TRY(std::optional<Received> message, reader.Next(bytes));
      if (!message) return Nothing{};
      whole_.push_back(std::move(message)->bytes);
    }
  }

  std::shared_ptr<net::ByteBudget> budget_ = std::make_shared<net::ByteBudget>(4 << 20);
  std::deque<Bytes> whole_;
};

TEST_F(MessageReaderTest, AnySplitReadsTheSame) {
  std::string long_one(3000, 'x');
  std::string wire = Framed("one") + Framed("") + Framed(long_one);
  for (std::size_t step : {1, 2, 5, 7, 100, 10'000}) {
    MessageReader reader(budget_, net::Encoding::kIdentity);
    whole_.clear();
    for (std::size_t at = 0; at < wire.size(); at += step) ASSERT_TRUE(Take(reader, std::string_view(wire).substr(at, step)));
    ASSERT_EQ(whole_.size(), 3u) << step;
    EXPECT_EQ(whole_[0].view(), "one");
    EXPECT_EQ(whole_[1].view(), "");
    EXPECT_EQ(whole_[2].view(), long_one);
  }
}

TEST_F(MessageReaderTest, TheEndOfAMessageIsAligned) {
  for (std::size_t size : {1, 63, 64, 65, 1000, 500'001}) {
    MessageReader reader(budget_, net::Encoding::kIdentity);
    whole_.clear();
    ASSERT_TRUE(Take(reader, Framed(std::string(size, 'x'))));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(whole_.at(0).data() + size) % 64, 0u) << size;
  }
}

TEST_F(MessageReaderTest, ALongMessageTakesMemoryOnlyAsItComes) {
  MessageReader reader(budget_, net::Encoding::kIdentity);
  std::string prefix(kPrefixBytes, '\0');
  WritePrefix(prefix.data(), false, 100 << 20);
  EXPECT_TRUE(Take(reader, prefix));
  auto taken = Take(reader, std::string(8 << 20, 'x'));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::kTooLarge);
}

TEST_F(MessageReaderTest, ThePrefixesOfManyLongMessagesTakeLittle) {
  std::string prefix(kPrefixBytes, '\0');
  WritePrefix(prefix.data(), false, 2 << 20);
  std::deque<MessageReader> readers;
  for (int i = 0; i < 1000; ++i) {
    readers.emplace_back(budget_, net::Encoding::kIdentity);
    ASSERT_TRUE(Take(readers.back(), prefix)) << i;
  }
}

TEST_F(MessageReaderTest, AfterTheFirstReadThereIsRoomForAMegabyte) {
  MessageReader reader(budget_, net::Encoding::kIdentity);
  std::string framed = Framed(std::string(1 << 20, 'x'));
  ASSERT_TRUE(Take(reader, std::string_view(framed).substr(0, 60'000)));
  EXPECT_EQ(reader.Room().size(), framed.size() - 60'000);
}

TEST_F(MessageReaderTest, WhatWasReceivedIntoItsRoomIsTakenFromThere) {
  std::string content(100'000, 'x'), framed = Framed(content);
  for (std::size_t i = 0; i < content.size(); ++i) framed[kPrefixBytes + i] = content[i] = static_cast<char>(i % 251);
  MessageReader reader(budget_, net::Encoding::kIdentity);
  EXPECT_TRUE(reader.Room().empty());
  std::size_t at = 5000;
  ASSERT_TRUE(Take(reader, framed.substr(0, at)));
  while (at < framed.size()) {
    std::span<char> room = reader.Room();
    ASSERT_EQ(room.size(), framed.size() - at);
    std::size_t part = std::min<std::size_t>(room.size(), 30'000), skip = at == 5000 ? 7 : 0;  // once not from its beginning
    std::memcpy(room.data() + skip, framed.data() + at, part - skip);
    ASSERT_TRUE(Take(reader, {room.data() + skip, part - skip}));
    at += part - skip;
  }
  ASSERT_EQ(whole_.size(), 1u);
  EXPECT_EQ(whole_.front().view(), content);
}

TEST_F(MessageReaderTest, AMessageThatInflatesBeyondTheBoundIsTooLarge) {
  Message packed = Compressed(WholeMessage(std::string(8 << 20, 'x')), net::Encoding::kGzip);
  MessageReader reader(budget_, net::Encoding::kGzip);
  Result<Nothing> taken;
  for (const net::Piece& piece : packed.pieces) taken = Take(reader, piece.bytes);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::kTooLarge);
}

TEST_F(MessageReaderTest, MemoryGoesBackWithTheLastMessage) {
  for (int i = 0; i < 10; ++i) {
    MessageReader reader(budget_, net::Encoding::kIdentity);
    whole_.clear();
    ASSERT_TRUE(Take(reader, Framed(std::string(600'000, 'x')))) << i;
  }
}

TEST_F(MessageReaderTest, RefusesWhatMakesNoSense) {
  std::string beyond = Framed("");
  beyond[1] = static_cast<char>(0x80);
  EXPECT_EQ(Take(MessageReader(budget_, net::Encoding::kIdentity), beyond).error().code, Code::kTooLarge);
  EXPECT_EQ(Take(MessageReader(budget_, net::Encoding::kIdentity), Framed("x", true)).error().code, Code::kInternal);
  EXPECT_EQ(Take(MessageReader(budget_, net::Encoding::kGzip), std::string("\2\0\0\0\1x", 6)).error().code, Code::kInternal);
  EXPECT_FALSE(Take(MessageReader(budget_, net::Encoding::kGzip), Framed("no gzip", true)));
}

TEST_F(MessageReaderTest, ReadsCompressedMessagesAmongPlainOnes) {
  std::string content(5000, 'c');
  for (net::Encoding encoding : {net::Encoding::kGzip, net::Encoding::kDeflate}) {
    Message message = Compressed(WholeMessage(std::string(kPrefixBytes, '\0') + content), encoding);
    std::string wire;
    for (const net::Piece& piece : message.pieces) wire += piece.bytes;
    EXPECT_LT(wire.size(), 200u);
    whole_.clear();
    MessageReader reader(budget_, encoding);
    ASSERT_TRUE(Take(reader, Framed("plain") + wire));
    EXPECT_EQ(whole_.at(0).view(), "plain");
    EXPECT_EQ(whole_.at(1).view(), content);
  }
}

TEST(Compressed, LeavesAMessageThatGetsNoShorter) {
  Message message = Compressed(WholeMessage(std::string(kPrefixBytes, '\0') + "abc"), net::Encoding::kGzip);
  EXPECT_EQ(message.size(), kPrefixBytes + 3);
  EXPECT_EQ(message.pieces.at(0).bytes.front(), '\0');
}

TEST(Timeout, HasUnits) {
  EXPECT_EQ(ParseTimeout("2H"), std::chrono::hours(2));
  EXPECT_EQ(ParseTimeout("3M"), std::chrono::minutes(3));
  EXPECT_EQ(ParseTimeout("4S"), std::chrono::seconds(4));
  EXPECT_EQ(ParseTimeout("99999999m"), Millis(99'999'999));
  EXPECT_EQ(ParseTimeout("5u"), Micros(5));
  EXPECT_GT(ParseTimeout("99999999H"), std::chrono::hours(2'000'000));  // more than nanoseconds can count
  EXPECT_EQ(ParseTimeout("0n"), Nanos(0));
  for (std::string_view bad : {"", "S", "1", "-1S", "1x", "1.5S", "123456789S", " 1S", "1 S"}) EXPECT_FALSE(ParseTimeout(bad)) << bad;
}

TEST(PercentEncode, KeepsPrintableAscii) {
  EXPECT_EQ(PercentEncode("a b~'\"/"), "a b~'\"/");
  EXPECT_EQ(PercentEncode("100%\nä"), "100%25%0A%C3%A4");
}

TEST(PercentEncode, CutsALongTextBetweenCharacters) {
  std::string text = "x";
  for (int i = 0; i < 5000; ++i) text += "ä";
  std::string encoded = PercentEncode(text);
  EXPECT_LT(encoded.size(), kStatusTextMax + 20);
  EXPECT_GT(encoded.size(), kStatusTextMax - 20);
  EXPECT_TRUE(encoded.ends_with("%C3%A4 ... (cut)")) << encoded.substr(encoded.size() - 30);
}

}  // namespace
}  // namespace nereid::grpc_front

#include "net/out_queue.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace nereid::net {
namespace {

std::string Text(std::span<iovec> pieces) {
  std::string text;
  for (const iovec& piece : pieces) text.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  return text;
}

// As a socket that takes `bytes` at a time, to the end.
std::string SendAll(OutQueue& queue, std::size_t bytes) {
  std::string text;
  while (queue.bytes() > 0) {
    std::string piece = Text(queue.Pieces()).substr(0, bytes);
    text += piece;
    queue.Sent(piece.size());
  }
  return text;
}

std::shared_ptr<const std::string> Owned(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

TEST(OutQueue, KeepsTheOrderOfCopiesAndBorrowed) {
  auto owned = Owned("borrowed");
  OutQueue queue;
  queue.Copy("a");
  queue.Borrow(owned, *owned);
  queue.Copy("b");
  EXPECT_EQ(queue.bytes(), 10u);
  EXPECT_EQ(Text(queue.Pieces()), "aborrowedb");
}

TEST(OutQueue, CopiesBehindOneAnotherAreOnePiece) {
  auto owned = Owned("borrowed");
  OutQueue queue;
  queue.Copy("a");
  queue.Copy("b");
  EXPECT_EQ(queue.Pieces().size(), 1u);
  queue.Borrow(owned, *owned);
  queue.Copy("c");
  queue.Copy("d");
  ASSERT_EQ(queue.Pieces().size(), 3u);
  EXPECT_EQ(queue.Pieces()[1].iov_base, owned->data());
}

TEST(OutQueue, NothingIsNoPiece) {
  OutQueue queue;
  queue.Copy("");
  queue.Borrow(Owned(""), "");
  EXPECT_EQ(queue.bytes(), 0u);
  EXPECT_TRUE(queue.Pieces().empty());
}

TEST(OutQueue, WhatIsSentMayEndAnywhere) {
  for (std::size_t step : {1, 2, 3, 5, 7, 100}) {
    OutQueue queue;
    queue.Copy("one");
    queue.Borrow(Owned("x"), "two");
    queue.Borrow(Owned("x"), "three");
    queue.Copy("four");
    EXPECT_EQ(SendAll(queue, step), "onetwothreefour") << step;
    EXPECT_TRUE(queue.Pieces().empty());
  }
}

TEST(OutQueue, TakesMoreBehindWhatIsPartlySent) {
  OutQueue queue;
  queue.Copy("first");
  queue.Sent(3);
  queue.Copy("second");
  EXPECT_EQ(queue.bytes(), 8u);
  EXPECT_EQ(Text(queue.Pieces()), "stsecond");
}

TEST(OutQueue, ManyPiecesComeInTurns) {
  OutQueue queue;
  std::string all;
  for (int i = 0; i < 200; ++i) {
    auto owned = Owned(std::to_string(i));
    queue.Borrow(owned, *owned);
    all += *owned;
  }
  EXPECT_EQ(queue.Pieces().size(), 64u);
  EXPECT_EQ(SendAll(queue, 1'000'000), all);
}

TEST(OutQueue, LetsAnOwnerGoOnceItsBytesAreSent) {
  auto owned = Owned("borrowed");
  OutQueue queue;
  queue.Copy("a");
  queue.Borrow(owned, *owned);
  queue.Copy("b");
  EXPECT_EQ(owned.use_count(), 2);
  queue.Sent(1 + 7);
  EXPECT_EQ(owned.use_count(), 2);
  queue.Sent(1);
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_EQ(Text(queue.Pieces()), "b");
}

// What is sent is freed part by part: one part for ever would grow while a slow client keeps the queue from running empty.
TEST(OutQueue, LongCopiesAreSeveralParts) {
  OutQueue queue;
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    std::string chunk(1000, static_cast<char>('a' + i % 26));
    queue.Copy(chunk);
    all += chunk;
  }
  EXPECT_GT(queue.Pieces().size(), 10u);
  EXPECT_LT(queue.Pieces().size(), 20u);
  EXPECT_EQ(SendAll(queue, 777), all);
}

}  // namespace
}  // namespace nereid::net

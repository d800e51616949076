#include "backends/python/channel.h"

#include <sys/stat.h>

#include <random>

#include <gtest/gtest.h>

#include "backends/python/messages.h"
#include "backends/python/worker_end_for_test.h"

namespace nereid::python {
namespace {

constexpr std::uint64_t kPage = 4096;

std::uint64_t FileBytes(int fd) {
  struct stat file{};
  ::fstat(fd, &file);
  return static_cast<std::uint64_t>(file.st_size);
}
std::uint64_t MemoryBytes(int fd) {
  struct stat file{};
  ::fstat(fd, &file);
  return static_cast<std::uint64_t>(file.st_blocks) * 512;
}

class ChannelTest : public testing::Test {
 protected:
  std::shared_ptr<Channel> channel_ = Channel::Create("test", {16 * kPage, 4 * kPage, 256 * kPage}).value();
  WorkerEnd worker_{*channel_};
};

TEST_F(ChannelTest, ACallReachesTheWorkerWithItsTensors) {
  Channel::Draft draft = channel_->Begin("packed", 5);
  ASSERT_TRUE(draft.content);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(draft.tensors) % 64, 0u);
  std::memcpy(draft.tensors, "12345", 5);
  auto place = channel_->PushCall(draft);
  ASSERT_TRUE(place);
  EXPECT_FALSE(channel_->Taken(*place));
  auto taken = worker_.TakeCall();
  ASSERT_TRUE(taken);
  EXPECT_TRUE(channel_->Taken(*place));
  EXPECT_EQ(taken->packed, "packed");
  EXPECT_EQ(taken->tensors, "12345");
}

TEST_F(ChannelTest, AMessageIsTheWorkersMemoryUntilItsLastCopyIsGone) {
  ASSERT_TRUE(worker_.Say("hello", std::string(3 * kPage, 't')));
  Message message;
  ASSERT_EQ(channel_->Pop(message), 1);
  EXPECT_EQ(message.packed, "hello");
  EXPECT_EQ(message.tensors_size, 3 * kPage);
  EXPECT_TRUE(message.tensors >= message.packed.data() && message.tensors[0] == 't');
  auto in_use = [this] {
    ArenaReclaim(&worker_.arena(), UINT64_MAX);
    return worker_.arena().used.count;
  };
  Message copy = message;
  message = {};
  EXPECT_EQ(in_use(), 1u);
  copy = {};
  EXPECT_EQ(in_use(), 0u);
}

TEST_F(ChannelTest, ARegionGrowsUpToItsBoundAndIsGivenBackWhenIdle) {
  std::vector<Channel::Draft> drafts;
  for (;;) {
    Channel::Draft draft = channel_->Begin("x", 8 * kPage);
    if (!draft.content) break;
    std::memset(draft.tensors, 1, 8 * kPage);
    drafts.push_back(draft);
  }
  EXPECT_GT(drafts.size(), 20u);
  EXPECT_LE(FileBytes(channel_->server_region_fd()), 256 * kPage);
  EXPECT_GT(MemoryBytes(channel_->server_region_fd()), 150 * kPage);
  for (Channel::Draft& draft : drafts) BlockRelease(draft.content);
  channel_->Trim();
  channel_->Trim();
  EXPECT_LE(MemoryBytes(channel_->server_region_fd()), 17 * kPage);
  EXPECT_TRUE(channel_->Begin("x", 100 * kPage).content);  // and grows again
}

TEST_F(ChannelTest, LentMemoryIsFreeOnceBothSidesHaveLetGo) {
  auto held = [this] {
    for (int i = 0; i < 2; ++i) channel_->Trim();
    return MemoryBytes(channel_->server_region_fd());
  };
  std::shared_ptr<char> memory = channel_->Lend(100 * kPage);
  ASSERT_TRUE(memory);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % 64, 0u);
  std::memset(memory.get(), 1, 100 * kPage);
  Tensor tensor{"T", Datatype::kUint8, {5}, Bytes(memory, memory.get() + 64, 5)};
  std::vector<TensorPlace> places;
  EXPECT_EQ(LayOut(channel_.get(), {tensor, tensor}, 0, places), 0u);  // nothing to copy
  for (const TensorPlace& place : places) EXPECT_EQ(place.offset, 64u);
  HandOver({tensor, tensor}, places.data(), nullptr);
  char* content = memory.get();
  memory.reset();
  tensor = {};
  EXPECT_GE(held(), 100 * kPage);
  BlockRelease(content);
  EXPECT_GE(held(), 100 * kPage);
  BlockRelease(content);
  EXPECT_LE(held(), 17 * kPage);
}

TEST_F(ChannelTest, TensorsElsewhereAreCopiedBehindTheMessage) {
  auto other = Channel::Create("other", {16 * kPage, 4 * kPage, 256 * kPage}).value();
  std::shared_ptr<char> foreign = other->Lend(100);
  std::memset(foreign.get(), 'f', 100);
  std::vector<Tensor> tensors = {{"A", Datatype::kUint8, {3}, Bytes::Own(std::string("abc"))},
                                 {"B", Datatype::kUint8, {100}, Bytes(foreign, foreign.get(), 100)}};
  std::vector<TensorPlace> places;
  EXPECT_EQ(LayOut(channel_.get(), tensors, 0, places), 64u + 128u);
  Channel::Draft draft = channel_->Begin("x", 192);
  HandOver(tensors, places.data(), draft.tensors);
  EXPECT_EQ(std::string_view(draft.tensors, 3), "abc");
  EXPECT_EQ(std::string(draft.tensors + 64, 100), std::string(100, 'f'));
}

TEST_F(ChannelTest, HalfOfTheRegionIsLentAtMost) {
  std::vector<std::shared_ptr<char>> lent;
  while (auto memory = channel_->Lend(8 * kPage)) lent.push_back(memory);
  EXPECT_EQ(lent.size(), 16u);
  EXPECT_FALSE(channel_->Lend(UINT64_MAX - 5));
  EXPECT_TRUE(channel_->Begin("x", 8 * kPage).content);
  lent.pop_back();
  EXPECT_TRUE(channel_->Lend(8 * kPage));
}

TEST_F(ChannelTest, WhatIsFreeAtTheEndOfARegionCountsWhenItGrows) {
  BlockRelease(channel_->Begin("x", 150 * kPage).content);
  EXPECT_TRUE(channel_->Begin("x", 220 * kPage).content);
}

TEST_F(ChannelTest, SmallMessagesStillPassWhereTensorsHaveFilledTheRegion) {
  while (channel_->Begin("x", 8 * kPage).content) {
  }
  while (channel_->Begin("x", 64).content) {
  }
  EXPECT_TRUE(channel_->Begin("a refusal", 0).content);
}

TEST_F(ChannelTest, RepliesWaitForRoomInTheRing) {
  for (int i = 0; i < kRingEntries + 10; ++i) channel_->PushReply(channel_->Begin(std::to_string(i), 0));
  for (int i = 0; i < kRingEntries + 10; ++i) {
    auto reply = worker_.TakeReply();
    if (!reply) {
      channel_->FlushReplies();
      reply = worker_.TakeReply();
    }
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->packed, std::to_string(i));
    BlockRelease(reply->content);
  }
}

TEST_F(ChannelTest, AWorkerThatFoundNoRoomDoesNotSleepOnceThereIsSome) {
  worker_.Say("x");
  std::uint32_t seen = BellRead(&channel_->control().room_bell);
  Message message;
  ASSERT_EQ(channel_->Pop(message), 1);
  EXPECT_NE(BellRead(&channel_->control().room_bell), seen);  // so that waiting for it ends at once
}

TEST_F(ChannelTest, CallsBeyondTheRingAreRefused) {
  Channel::Draft draft = channel_->Begin("x", 0);
  for (int i = 0; i < kRingEntries; ++i) EXPECT_TRUE(channel_->PushCall(draft));
  EXPECT_FALSE(channel_->PushCall(draft));
}

TEST_F(ChannelTest, EntriesThatMakeNoSenseAreRefusedAndNotRead) {
  for (ChannelEntry entry :
       {ChannelEntry{0, 64}, ChannelEntry{63, 64}, ChannelEntry{65, 64}, ChannelEntry{64, 3}, ChannelEntry{64, UINT64_MAX},
        ChannelEntry{UINT64_MAX - 63, 64}, ChannelEntry{200 * kPage, 64}, ChannelEntry{64, 200 * kPage}}) {
    worker_.SayEntry(entry);
    Message message;
    EXPECT_EQ(channel_->Pop(message), -1) << entry.offset << " " << entry.length;
  }
  std::uint32_t length = 1000;  // longer than the entry says
  std::memcpy(worker_.region() + 64, &length, sizeof length);
  worker_.SayEntry({64, 100});
  Message message;
  EXPECT_EQ(channel_->Pop(message), -1);
  channel_->control().from_worker.tail += 5000;
  EXPECT_EQ(channel_->Pop(message), -1);
}

TEST(Arena, KeepsItsBooksUnderRandomUse) {
  auto channel = Channel::Create("test", {16 * kPage, 4 * kPage, 512 * kPage}).value();
  WorkerEnd worker(*channel);
  Arena& arena = worker.arena();
  std::mt19937 random(7);
  struct Block {
    char* content;
    std::size_t size;
    char mark;
  };
  std::vector<Block> blocks;
  for (int turn = 0; turn < 20'000; ++turn) {
    if (random() % 2 && blocks.size() < 40) {
      std::size_t size = random() % (random() % 10 == 0 ? 20 * kPage : 300);
      char* content = ArenaAllocate(&arena, size, 1);
      if (!content) continue;
      char mark = static_cast<char>(random());
      std::memset(content, mark, size);
      blocks.push_back({content, size, mark});
    } else if (!blocks.empty()) {
      std::size_t at = random() % blocks.size();
      for (std::size_t i = 0; i < blocks[at].size; ++i) ASSERT_EQ(blocks[at].content[i], blocks[at].mark);  // nobody else wrote there
      BlockRelease(blocks[at].content);
      blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (turn % 500 == 0) ArenaTrim(&arena);
  }
  for (Block& block : blocks) BlockRelease(block.content);
  ArenaReclaim(&arena, UINT64_MAX);
  EXPECT_EQ(arena.used.count, 0u);
  EXPECT_EQ(arena.free.count, 1u);  // all joined again
  EXPECT_EQ(arena.free.spans[0].size, arena.size);
}

}  // namespace
}  // namespace nereid::python

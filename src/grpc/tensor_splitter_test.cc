#include "grpc/tensor_splitter.h"

#include <cstring>
#include <deque>

#include <gtest/gtest.h>

#include "grpc/infer_request.h"
#include "proto/grpc_service.pb.h"

namespace nereid::grpc_front {
namespace {

using inference::ModelInferRequest;

constexpr std::size_t kMin = 1000;

std::string Content(std::size_t size, char seed) {
  std::string content(size, '\0');
  for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>(seed + i % 83);
  return content;
}

std::string Prefixed(const std::string& content) {
  std::string prefix(kPrefixBytes, '\0');
  WritePrefix(prefix.data(), false, content.size());
  return prefix + content;
}

class TensorSplitterTest : public testing::Test {
 protected:
  // One of `sizes.size()` tensors.
  ModelInferRequest Request(const std::vector<std::size_t>& sizes) {
    ModelInferRequest request;
    request.set_model_name("m");
    request.set_model_version("7");
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      auto& input = *request.add_inputs();
      input.set_name("IN" + std::to_string(i));
      input.set_datatype("UINT8");
      input.add_shape(static_cast<std::int64_t>(sizes[i]));
      request.add_raw_input_contents(Content(sizes[i], static_cast<char>('a' + i)));
    }
    return request;
  }

  std::shared_ptr<char> Allocate(const std::string& name, const std::string& version, std::size_t bytes) {
    EXPECT_EQ(name, "m");
    EXPECT_EQ(version, "7");
    if (lent_.size() == most_) return nullptr;
    auto block = std::make_shared<std::string>(bytes, '?');
    lent_.push_back(block);
    return {block, block->data()};
  }

  // Gives the reader `wire`, `step` bytes at a time, into its room when `into_room`.
  Result<Nothing> Give(MessageReader& reader, std::string_view wire, std::size_t step, bool into_room = false) {
    while (!wire.empty()) {
      std::string part(wire.substr(0, step));
      std::string_view bytes = part;
      if (std::span<char> room = reader.Room(); into_room && !room.empty()) {
        bytes = bytes.substr(0, room.size());
        std::memcpy(room.data(), bytes.data(), bytes.size());
        bytes = {room.data(), bytes.size()};
      }
      wire.remove_prefix(bytes.size());
      while (!bytes.empty()) {
        TRY(auto message, reader.Next(bytes));
        if (message) whole_.push_back(*std::move(message));
      }
    }
    return Nothing{};
  }

  void ExpectRead(const std::vector<std::size_t>& sizes, const Received& message) {
    RequestReader reader;
    auto opened = reader.Open(message);
    ASSERT_TRUE(opened) << opened.error().message;
    auto parsed = reader.Take();
    ASSERT_TRUE(parsed) << parsed.error().message;
    ASSERT_EQ(parsed->request.inputs.size(), sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i)
      EXPECT_EQ(parsed->request.inputs[i].data.view(), Content(sizes[i], static_cast<char>('a' + i))) << i;
  }

  std::size_t most_ = 1000;
  std::vector<std::weak_ptr<std::string>> lent_;
  std::shared_ptr<net::ByteBudget> budget_ = std::make_shared<net::ByteBudget>(1 << 20);
  TensorSplitter splitter_{
      [this](const std::string& name, const std::string& version, std::size_t bytes) { return Allocate(name, version, bytes); }, kMin};
  std::deque<Received> whole_;
};

TEST_F(TensorSplitterTest, WhateverPiecesTheMessageComesInItsTensorsAreTheSame) {
  const std::vector<std::vector<std::size_t>> cases = {{5000}, {5000, 70'000}, {10, 5000, 999, 1000, 0, 1001}, {1000, 1000, 1}, {200'000}};
  for (const auto& sizes : cases) {
    std::string wire = Prefixed(Request(sizes).SerializeAsString());
    auto large = static_cast<std::size_t>(std::ranges::count_if(sizes, [](std::size_t size) { return size >= kMin; }));
    for (std::size_t step : {1, 7, 999, 4096, 60'000, 1'000'000}) {
      for (bool into_room : {false, true}) {
        MessageReader reader(budget_, net::Encoding::kIdentity, &splitter_);
        lent_.clear();
        whole_.clear();
        ASSERT_TRUE(Give(reader, wire + wire, step, into_room));
        ASSERT_EQ(whole_.size(), 2u);
        EXPECT_EQ(lent_.size(), 2 * large);
        for (const Received& message : whole_) {
          EXPECT_EQ(message.apart.size(), large);
          ExpectRead(sizes, message);
        }
      }
    }
  }
}

TEST_F(TensorSplitterTest, ALargeTensorIsReceivedIntoItsMemoryAndOwnsIt) {
  std::string wire = Prefixed(Request({100'000}).SerializeAsString());
  MessageReader reader(budget_, net::Encoding::kIdentity, &splitter_);
  ASSERT_TRUE(Give(reader, std::string_view(wire).substr(0, 10'000), 10'000));
  ASSERT_EQ(lent_.size(), 1u);
  EXPECT_EQ(reader.Room().data() + reader.Room().size(), lent_[0].lock()->data() + 100'000);
  ASSERT_TRUE(Give(reader, std::string_view(wire).substr(10'000), 10'000, true));
  EXPECT_EQ(whole_.at(0).apart.at(0).bytes.data(), lent_[0].lock()->data());
  EXPECT_LT(whole_[0].bytes.size(), 100u);
  whole_.clear();
  EXPECT_TRUE(lent_[0].expired());
}

TEST_F(TensorSplitterTest, WhereThereIsNoMemoryTheMessageStaysWhole) {
  for (std::size_t most : {0, 1}) {
    most_ = most;
    lent_.clear();
    whole_.clear();
    MessageReader reader(budget_, net::Encoding::kIdentity, &splitter_);
    ASSERT_TRUE(Give(reader, Prefixed(Request({50'000, 50'000}).SerializeAsString()), 8000));
    EXPECT_EQ(whole_.at(0).apart.size(), most);
    ExpectRead({50'000, 50'000}, whole_[0]);
  }
}

TEST_F(TensorSplitterTest, ADeclaredLengthAloneTakesNoMemory) {
  MessageReader reader(budget_, net::Encoding::kIdentity, &splitter_);
  std::string wire = Prefixed(Request({900'000}).SerializeAsString());
  ASSERT_TRUE(Give(reader, std::string_view(wire).substr(0, 20'000), 20'000));
  EXPECT_TRUE(lent_.empty());
  ASSERT_TRUE(Give(reader, std::string_view(wire).substr(20'000), 20'000));
  EXPECT_EQ(lent_.size(), 1u);
  ExpectRead({900'000}, whole_.at(0));
}

TEST_F(TensorSplitterTest, ThePartsCountAgainstTheBudgetWhileTheyAreReceived) {
  std::string wire = Prefixed(Request({600'000}).SerializeAsString());
  MessageReader first(budget_, net::Encoding::kIdentity, &splitter_), second(budget_, net::Encoding::kIdentity, &splitter_);
  ASSERT_TRUE(Give(first, std::string_view(wire).substr(0, 300'000), 50'000));
  auto refused = Give(second, wire, 50'000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kTooLarge);
  ASSERT_TRUE(Give(first, std::string_view(wire).substr(300'000), 50'000));
  EXPECT_TRUE(budget_->Take((1 << 20) - 10'000));
}

TEST_F(TensorSplitterTest, ATensorThatIsLongerThanItsMessageIsRefused) {
  std::string message = Request({50'000}).SerializeAsString();
  MessageReader reader(budget_, net::Encoding::kIdentity, &splitter_);
  ASSERT_TRUE(Give(reader, Prefixed(message.substr(0, 30'000)), 5000));
  RequestReader request;
  EXPECT_FALSE(request.Open(whole_.at(0)));
}

TEST_F(TensorSplitterTest, WhatIsNoRequestIsNotSplit) {
  ModelInferRequest request = Request({5000});
  for (const std::string& before : {std::string("\x08\x01"), std::string("\x00\x01", 2), std::string(12, '\xff')}) {
    MessageReader reader(budget_, net::Encoding::kIdentity, &splitter_);
    ASSERT_TRUE(Give(reader, Prefixed(before + request.SerializeAsString()), 100));
    EXPECT_TRUE(whole_.back().apart.empty());
  }
  EXPECT_TRUE(lent_.empty());
}

}  // namespace
}  // namespace nereid::grpc_front

#include "models/scheduler/in_order.h"

#include <functional>

#include <gtest/gtest.h>

namespace nereid::models {
namespace {

class Client final : public InferReceiver {
 public:
  Client(std::string name, std::vector<std::string>& got) : name_(std::move(name)), got_(got) {}
  Pushed Push(InferResponse&&) override {
    got_.push_back(name_);
    if (then) then();
    return Pushed::kTaken;
  }
  void OnRoom(std::function<void()>) override {}
  std::function<void()> then;

 private:
  const std::string name_;
  std::vector<std::string>& got_;
};

using Names = std::vector<std::string>;

class InOrderTest : public testing::Test {
 protected:
  std::shared_ptr<Client> Make(const std::string& name) { return std::make_shared<Client>(name, got_); }
  InOrder order_;
  Names got_;
};

TEST_F(InOrderTest, AnswersWaitForThoseBeforeThem) {
  auto a = order_.TakeNumber(Make("a")), b = order_.TakeNumber(Make("b")), c = order_.TakeNumber(Make("c"));
  order_.Answer(c, {});
  order_.Answer(b, {});
  EXPECT_TRUE(got_.empty());
  order_.Answer(a, {});
  EXPECT_EQ(got_, (Names{"a", "b", "c"}));
  order_.Answer(order_.TakeNumber(Make("d")), {});
  EXPECT_EQ(got_.back(), "d");
}

// A stream reads its next request when it got an answer, and that may be answered at once.
TEST_F(InOrderTest, AnAnswerMayBringTheNextRequest) {
  auto first = Make("first");
  auto number = order_.TakeNumber(first), second = order_.TakeNumber(Make("second"));
  first->then = [&] {
    auto third = order_.TakeNumber(Make("third"));
    order_.Answer(third, {});
    order_.Answer(second, {});
  };
  order_.Answer(number, {});
  EXPECT_EQ(got_, (Names{"first", "second", "third"}));
}

}  // namespace
}  // namespace nereid::models

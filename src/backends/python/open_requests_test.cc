#include "backends/python/open_requests.h"

#include <gtest/gtest.h>

#include "proto/model_config.pb.h"

namespace nereid::python {
namespace {

// What a client got, and how it takes more.
struct Client {
  std::vector<InferResponse> got;
  Pushed next = Pushed::kTaken;  // what the next response that is not final is answered with
  int taken_most = 0;            // so many are taken all the same
  std::function<void()> wake;
  Cancellation cancellation;
};

class FakeExecution final : public Execution {
 public:
  explicit FakeExecution(std::shared_ptr<Client> client) : client_(std::move(client)) { request_.cancellation = client_->cancellation; }
  const InferRequest& request() const override { return request_; }
  std::int64_t batch_size() const override { return 1; }
  bool cancelled() const override { return request_.cancellation.cancelled(); }
  Pushed Send(InferResponse&& response) override {
    if (!response.final && client_->next != Pushed::kTaken && client_->taken_most-- <= 0) return client_->next;
    client_->got.push_back(std::move(response));
    return Pushed::kTaken;
  }
  void OnRoom(std::function<void()> wake) override { client_->wake = std::move(wake); }

 private:
  const std::shared_ptr<Client> client_;
  InferRequest request_;
};

class OpenRequestsTest : public testing::Test {
 protected:
  OpenRequests& Make(bool decoupled) {
    open_.emplace(*control_, rules_, decoupled, [this](std::uint64_t request) { told_.push_back(request); });
    return *open_;
  }
  // The number of an open request of a new client.
  std::uint64_t Open(std::shared_ptr<Client> client) {
    auto places = open_->Reserve(1);
    EXPECT_TRUE(places);
    ExecutionBatch batch;
    batch.push_back(std::make_unique<FakeExecution>(std::move(client)));
    open_->Add(*places, std::move(batch), {});
    cell_ = &control_->cells[places->cells.front()];
    return places->first;
  }
  static InferResponse Numbered(int number, bool final = false, std::size_t bytes = 0) {
    InferResponse response;
    response.client_id = std::to_string(number);
    response.final = final;
    if (bytes > 0) response.outputs = {{.name = "OUT", .datatype = Datatype::kUint8, .data = Bytes(nullptr, nullptr, bytes)}};
    return response;
  }
  std::vector<std::string> Got() const {
    std::vector<std::string> ids;
    for (const InferResponse& response : client_->got) ids.push_back(response.client_id);
    return ids;
  }

  std::unique_ptr<ChannelControl> control_ = std::make_unique<ChannelControl>();
  OutputRules rules_{inference::ModelConfig(), false};
  std::vector<std::uint64_t> told_;
  std::optional<OpenRequests> open_;
  std::shared_ptr<Client> client_ = std::make_shared<Client>();
  ChannelCell* cell_ = nullptr;  // of the request opened last
};

TEST_F(OpenRequestsTest, TheReturnedResponseIsTheLast) {
  Make(false);
  std::uint64_t request = Open(client_);
  open_->Return(request, Numbered(1, true), SteadyTime{});
  open_->Return(request, Numbered(2, true), SteadyTime{});
  open_->Fail(request, Status{});
  EXPECT_EQ(Got(), std::vector<std::string>{"1"});
  EXPECT_EQ(open_->Find(request), nullptr);
}

TEST_F(OpenRequestsTest, ASendersResponseEndsTheRequestOfAModelThatIsNotDecoupled) {
  Make(false);
  std::uint64_t request = Open(client_);
  open_->Send(request, Numbered(1, false));
  EXPECT_TRUE(client_->got.at(0).final);
  EXPECT_EQ(open_->Find(request), nullptr);
}

TEST_F(OpenRequestsTest, ResponsesWaitInOrderForAClientThatReadsSlowly) {
  Make(true);
  std::uint64_t request = Open(client_);
  open_->Send(request, Numbered(1));
  client_->next = Pushed::kFull;
  open_->Send(request, Numbered(2));
  EXPECT_EQ(cell_->blocked, 0u);
  open_->Send(request, Numbered(3, false, 5 << 20));
  EXPECT_EQ(cell_->blocked, 1u);  // the worker's send() waits
  EXPECT_EQ(Got(), std::vector<std::string>{"1"});
  client_->next = Pushed::kTaken;
  client_->wake();
  EXPECT_EQ(told_, std::vector<std::uint64_t>{request});
  open_->Renew(request);
  EXPECT_EQ(Got(), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(cell_->blocked, 0u);
  open_->Send(request, Numbered(4, true));
  EXPECT_EQ(open_->Find(request), nullptr);
}

TEST_F(OpenRequestsTest, AModelThatDoesNotWaitForASlowClientLosesTheRequestNotTheMemory) {
  Make(true);
  std::uint64_t request = Open(client_);
  client_->next = Pushed::kFull;
  open_->Send(request, Numbered(0, false, 100 << 20));  // one response may have any size
  EXPECT_NE(open_->Find(request), nullptr);
  open_->Send(request, Numbered(1, false, 1));
  EXPECT_EQ(open_->Find(request), nullptr);
  ASSERT_EQ(client_->got.size(), 1u);
  EXPECT_EQ(client_->got[0].error->reason, "slow_client");
}

TEST_F(OpenRequestsTest, OnlyRequestsWhoseClientsHoldUpTheWorkerAreFailedForIt) {
  Make(true);
  auto slow = std::make_shared<Client>();
  slow->next = Pushed::kFull;
  std::uint64_t other = Open(client_), held = Open(slow);
  open_->Send(held, Numbered(1));
  EXPECT_FALSE(open_->FailBlocked(Status{}));
  open_->Send(held, Numbered(2, false, 2 << 20));
  open_->Send(held, Numbered(3, false, 3 << 20));
  slow->taken_most = 2;
  open_->Renew(held);
  EXPECT_EQ(cell_->blocked, 1u);  // until there is much room
  EXPECT_TRUE(open_->FailBlocked(Status{}));
  EXPECT_EQ(open_->Find(held), nullptr);
  EXPECT_NE(open_->Find(other), nullptr);
  EXPECT_EQ(cell_->blocked, 0u);
  EXPECT_EQ(cell_->cancelled, 1u);
  EXPECT_TRUE(open_->Watch(held));
}

TEST_F(OpenRequestsTest, ACellSaysWhoseItIs) {
  Make(true);
  std::uint64_t first = Open(client_);
  ChannelCell* cell = cell_;
  EXPECT_EQ(cell->request, first);
  open_->Send(first, Numbered(1, true));
  std::uint64_t second = Open(client_);
  ASSERT_EQ(cell_, cell);
  EXPECT_EQ(cell->request, second);
}

TEST_F(OpenRequestsTest, AFinalResponseWaitsBehindOthersAndThenEnds) {
  Make(true);
  std::uint64_t request = Open(client_);
  client_->next = Pushed::kFull;
  open_->Send(request, Numbered(1));
  open_->Send(request, Numbered(2, true));
  EXPECT_NE(open_->Find(request), nullptr);
  client_->next = Pushed::kTaken;
  open_->Renew(request);
  EXPECT_EQ(Got(), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(open_->Find(request), nullptr);
}

TEST_F(OpenRequestsTest, ACancelledRequestIsToldToTheWorkerOnceItAsks) {
  Make(true);
  std::uint64_t request = Open(client_);
  EXPECT_FALSE(open_->Watch(request));
  EXPECT_TRUE(told_.empty());
  client_->cancellation.Cancel();
  EXPECT_EQ(told_, std::vector<std::uint64_t>{request});
  EXPECT_TRUE(open_->Watch(request));
  open_->Renew(request);
  EXPECT_EQ(cell_->cancelled, 1u);
}

TEST_F(OpenRequestsTest, AFailureEndsWhatStillWaits) {
  Make(true);
  std::uint64_t request = Open(client_);
  client_->next = Pushed::kFull;
  open_->Send(request, Numbered(1));
  open_->FailAll(Status{Code::kInternal, "the worker died", "", ""});
  ASSERT_EQ(client_->got.size(), 1u);
  EXPECT_EQ(client_->got[0].error->message, "the worker died");
  EXPECT_EQ(cell_->blocked, 0u);
}

TEST_F(OpenRequestsTest, RequestsThatWereNotBegunAreTakenBackUnanswered) {
  Make(false);
  std::uint64_t first = Open(client_);
  Open(client_);
  EXPECT_EQ(open_->TakeBack({first, 2}).size(), 2u);
  open_->FailAll(Status{});
  EXPECT_TRUE(client_->got.empty());
}

TEST_F(OpenRequestsTest, CellsAreBoundedAndUsedAgain) {
  Make(false);
  auto all = open_->Reserve(kCells);
  ASSERT_TRUE(all);
  EXPECT_FALSE(open_->Reserve(1));
  open_->GiveBack(*all);
  for (int i = 0; i < 3 * kCells; ++i) open_->Return(Open(client_), Numbered(i, true), SteadyTime{});
  EXPECT_EQ(client_->got.size(), 3u * kCells);
}

TEST_F(OpenRequestsTest, AreAbandonedOnceNobodyWaits) {
  Make(false);
  auto other = std::make_shared<Client>();
  Open(client_);
  Open(other);
  EXPECT_FALSE(open_->AllAbandoned(SteadyTime{}));
  client_->cancellation.Cancel();
  EXPECT_FALSE(open_->AllAbandoned(SteadyTime{}));
  other->cancellation.Cancel();
  EXPECT_TRUE(open_->AllAbandoned(SteadyTime{}));
}

}  // namespace
}  // namespace nereid::python

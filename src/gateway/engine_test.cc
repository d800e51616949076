// The engine against targets, accounts and clients that do as they are told.
#include "gateway/engine_impl.h"

#include <gtest/gtest.h>

#include "net/spawn.h"

namespace nereid::gateway {
namespace {

constexpr Price kPrice{.unpriced = false, .input = 3'000'000'000, .output = 8'000'000'000};

class NoModels final : public ModelService {
 public:
  void Submit(InferRequest, std::shared_ptr<InferReceiver>) override { ADD_FAILURE(); }
  Result<std::shared_ptr<const ModelInfo>> Find(const ModelRef&) const override { return Error(Code::kNotFound, "unknown"); }
  std::vector<std::shared_ptr<const ModelInfo>> TextModels() const override { return {}; }
  bool Live() const override { return true; }
  bool Ready() const override { return true; }
  bool ModelReady(const ModelRef&) const override { return false; }
  void Load(std::string, LoadOptions, Done) override { ADD_FAILURE(); }
  void Unload(std::string, bool, Done) override { ADD_FAILURE(); }
  std::vector<IndexEntry> Index(bool) const override { return {}; }
  Result<std::vector<ModelStats>> Statistics(const ModelRef&) const override { return std::vector<ModelStats>{}; }
};

struct Journal {
  std::vector<std::string> lines;
};

struct Settled {
  std::string target;
  TokenUsage usage;
  bool failed = false;
  int status = 0;
};

class FakeAccounts final : public Accounts {
 public:
  explicit FakeAccounts(Journal& journal) : journal_(journal) {}
  Result<Principal> Authenticate(std::optional<std::string_view>) const override { return Principal{}; }
  Result<Reservation> Reserve(const ReserveInput& input) override {
    if (refuse) return Error(Code::kUnavailable, "full", "ledger_full");
    journal_.lines.push_back("reserve " + std::string(input.target));
    return Reservation{};
  }
  net::Task<Nothing> Settle(const Reservation&, const Settlement& settlement) override {
    journal_.lines.push_back("settle");
    settled.push_back(
        {std::string(settlement.target), settlement.outcome.usage, settlement.outcome.failure.has_value(), settlement.http_status});
    co_return Nothing{};
  }

  bool refuse = false;
  std::vector<Settled> settled;

 private:
  Journal& journal_;
};

// A client that leaves after `patience` writes.
class Client final : public ResponseSink {
 public:
  explicit Client(Journal& journal) : journal_(journal) {}
  net::Task<Nothing> Write(const ResponseEvent& event) override {
    if (patience-- <= 0) co_return Error(Code::kCancelled, "the client is gone", "cancelled");
    started_ = true;
    static constexpr const char* kNames[] = {"started", "delta", "bytes", "finished"};
    journal_.lines.push_back(kNames[event.index()]);
    co_return Nothing{};
  }
  bool started() const override { return started_; }

  int patience = 100;

 private:
  Journal& journal_;
  bool started_ = false;
};

// Relays an answer of two pieces, or fails as told.
class FakeTarget final : public Target {
 public:
  FakeTarget(std::string name, std::optional<Status> failure) : name_(std::move(name)), failure_(std::move(failure)) {}
  std::string_view name() const override { return name_; }
  const Price& cost() const override { return kPrice; }
  net::Task<Outcome> Run(const TargetRequest&, ResponseSink& sink) override {
    ++runs;
    if (failure_) co_return Outcome{{}, UsageSource::kNone, failure_};
    Outcome cut{{.input = 5, .output = 1}, UsageSource::kEstimate, Status{Code::kCancelled, "gone", "cancelled"}, 200};
    std::string_view piece = "x";
    if (!co_await sink.Write(Started{.model = "m", .relayed = true})) co_return cut;
    if (!co_await sink.Write(RelayedBytes{{&piece, 1}})) co_return cut;
    Finished finished{{.input = 5, .output = 2}, UsageSource::kProvider};
    if (!co_await sink.Write(finished)) co_return cut;
    if (!co_await sink.Write(RelayedBytes{{&piece, 1}})) co_return cut;
    co_return Outcome{finished.usage, finished.usage_source, std::nullopt, 200};
  }

  int runs = 0;

 private:
  const std::string name_;
  const std::optional<Status> failure_;
};

class EngineTest : public ::testing::Test {
 protected:
  // Each name is one target; "ok" answers, any other is the reason with which it fails.
  Result<Nothing> Ask(std::vector<std::string> targets, std::string model = "chat") {
    Config config;
    PublicModelConfig declared;
    declared.name = "chat";
    declared.price = {.unpriced = false, .input = kPrice.input, .output = kPrice.output};
    for (const std::string& target : targets) declared.targets.push_back({.provider = "p", .model = target});
    config.public_models.push_back(declared);
    auto made = Catalogue::Make(config, models_, [&](const TargetConfig& target, const Price&) -> Result<std::shared_ptr<Target>> {
      std::optional<Status> failure;
      if (target.model != "ok") failure = Status{Code::kBadGateway, "it failed", target.model};
      targets_.push_back(std::make_shared<FakeTarget>("p/" + target.model, failure));
      return targets_.back();
    });
    catalogue_.emplace(*std::move(made));
    EngineImpl engine(tasks_, *catalogue_, accounts_, clock_);
    request_.call.fields.model = std::move(model);
    Result<Nothing> out = Error(Code::kInternal, "it never ended");
    net::Spawn(io_.get_executor(), engine.Handle(request_, client_), [&](Result<Nothing> done) { out = std::move(done); });
    io_.restart();
    io_.run();
    return out;
  }

  net::asio::io_context io_{1};
  Journal journal_;
  FakeClock clock_;
  NoModels models_;
  FakeAccounts accounts_{journal_};
  Client client_{journal_};
  TasksConfig tasks_;
  std::optional<Catalogue> catalogue_;
  std::vector<std::shared_ptr<FakeTarget>> targets_;
  Request request_;
};

TEST_F(EngineTest, TheSettlementStandsBeforeTheLastBytesLeave) {
  EXPECT_TRUE(Ask({"ok"}));
  EXPECT_EQ(journal_.lines, (std::vector<std::string>{"reserve p/ok", "started", "bytes", "settle", "finished", "bytes"}));
  ASSERT_EQ(accounts_.settled.size(), 1u);
  EXPECT_EQ(accounts_.settled[0].usage, (TokenUsage{.input = 5, .output = 2}));
  EXPECT_EQ(accounts_.settled[0].status, 200);
  EXPECT_FALSE(accounts_.settled[0].failed);
}

TEST_F(EngineTest, AClientThatLeavesPaysForWhatWasMade) {
  client_.patience = 1;
  auto done = Ask({"ok"});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCancelled);
  ASSERT_EQ(accounts_.settled.size(), 1u);
  EXPECT_EQ(accounts_.settled[0].usage, (TokenUsage{.input = 5, .output = 1}));
  EXPECT_TRUE(accounts_.settled[0].failed);
}

TEST_F(EngineTest, ATargetThatNeverSawTheRequestIsFollowedByTheNext) {
  EXPECT_TRUE(Ask({"connect_failed", "dns_failed", "ok"}));
  ASSERT_EQ(accounts_.settled.size(), 1u);
  EXPECT_EQ(accounts_.settled[0].target, "p/ok");
}

TEST_F(EngineTest, ATargetThatMayHaveSeenItIsNot) {
  auto done = Ask({"reset", "ok"});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "reset");
  EXPECT_EQ(targets_[1]->runs, 0);
  ASSERT_EQ(accounts_.settled.size(), 1u);
  EXPECT_TRUE(accounts_.settled[0].failed);
  EXPECT_EQ(accounts_.settled[0].usage, TokenUsage{});
}

TEST_F(EngineTest, NothingRunsWithoutAReservation) {
  accounts_.refuse = true;
  auto done = Ask({"ok"});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().reason, "ledger_full");
  EXPECT_EQ(targets_[0]->runs, 0);
  EXPECT_TRUE(journal_.lines.empty());
}

TEST_F(EngineTest, UnknownModelsAreNamedWithTheirNeighbours) {
  auto done = Ask({"ok"}, "chatt");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kNotFound);
  EXPECT_EQ(done.error().message, "The model 'chatt' does not exist or you do not have access to it. Near names: chat.");
}

TEST_F(EngineTest, AModelOutsideOfTheKeysGlobsDoesNotExist) {
  request_.principal.model_globs = {"other-*"};
  auto done = Ask({"ok"});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "The model 'chat' does not exist or you do not have access to it.");
  EXPECT_TRUE(catalogue_->List(&request_.principal).empty());
}

TEST_F(EngineTest, ATaskPicksItsModelAndLabelsTheRow) {
  tasks_ = {{{"code", "chat"}}, ""};
  EXPECT_TRUE(Ask({"ok"}, "task:code"));
  EXPECT_EQ(request_.task, "code");
  EXPECT_EQ(Ask({"ok"}, "task:nothing").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace nereid::gateway

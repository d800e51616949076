// The store as accounts/ and the admin API use it: reports, keys, and what a crash leaves behind.
#include "store/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "store/test_folder.h"
#include "store/verify.h"

namespace nereid::store {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  void Open(Durability durability = Durability::kRelaxed) {
    store_.reset();
    StoreConfig config;
    config.segment_bytes = 1 << 20;
    config.durability = durability;
    auto store = Store::Open({folder_.path(), config});
    ASSERT_TRUE(store) << store.error().message << store.error().detail;
    store_ = *std::move(store);
  }
  template <class T>
  Result<T> Await(net::Task<T> task) {
    std::optional<Result<T>> result;
    net::Spawn(context_.get_executor(), std::move(task), [&](Result<T> done) { result = std::move(done); });
    context_.restart();
    context_.run();
    return *std::move(result);
  }
  std::uint64_t Reserve(int id, NanoUsd held = 500) {
    return Append(LedgerKind::kReserve, id, [&](LedgerEntry& entry) { entry.held = held; });
  }
  void Settle(int id, std::string_view model, std::int64_t tokens, NanoUsd charge, bool failed = false, int status = 200) {
    Append(LedgerKind::kSettle, id, [&](LedgerEntry& entry) {
      entry.public_model = model;
      entry.target = "mock/m";
      entry.task = "fast_summary";
      entry.key = 1;
      entry.usage.input = tokens;
      entry.charge = charge;
      entry.latency = Millis(10 * id);
      entry.failed = failed;
      entry.http_status = static_cast<std::uint16_t>(status);
    });
  }
  template <class Fill>
  std::uint64_t Append(LedgerKind kind, int id, Fill fill) {
    LedgerEntry entry;
    entry.kind = kind;
    entry.request_id.bytes[0] = static_cast<std::uint8_t>(id);
    entry.at = SystemClock().Wall();
    fill(entry);
    auto done = store_->Append(entry);
    EXPECT_TRUE(done);
    return done.value_or(0);
  }
  UsageReport Report(UsageFilter filter = {}) {
    auto report = Await(store_->Usage(std::move(filter)));
    EXPECT_TRUE(report) << report.error().message << report.error().detail;
    return report.value_or(UsageReport{});
  }
  static StoredKey Key(std::string id) {
    StoredKey key;
    key.record = {std::move(id), "name", {"chat", "model:gpt-*"}, SystemClock().Wall(), std::nullopt};
    key.secret_sha256 = std::string(32, 'h');
    return key;
  }

  TestFolder folder_{"store"};
  net::asio::io_context context_{1};  // outlives the store, whose threads may still hold what posts to it
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, TheReportHasEverythingSettledBeforeTheCall) {
  Open();
  for (int i = 1; i <= 3; ++i) Reserve(i);
  Settle(1, "a", 100, 7);
  Settle(2, "a", 50, 3);
  Settle(3, "b", 10, 1);
  UsageReport report = Report();
  EXPECT_EQ(report.total_requests, 3);
  EXPECT_EQ(report.total_tokens, 160);
  EXPECT_EQ(report.total_charge, 11);
  EXPECT_DOUBLE_EQ(report.avg_latency_ms, 20);
  ASSERT_EQ(report.models.size(), 2u);
  EXPECT_EQ(report.models[0].model, "a");
  EXPECT_EQ(report.models[0].requests, 2);
}

TEST_F(StoreTest, AFailureCountsOnlyWhenTokensWereDelivered) {
  Open();
  for (int i = 1; i <= 5; ++i) Reserve(i);
  Settle(1, "a", 100, 7);
  Settle(2, "a", 0, 0, true);
  Settle(3, "a", 9, 2, true);
  Settle(4, "a", 9, 0, true, 502);
  Settle(5, "a", 9, 0, true, 0);
  EXPECT_EQ(Report().total_requests, 2);
  EXPECT_EQ(Report().total_charge, 9);
}

TEST_F(StoreTest, FiltersNarrowTheReportAndUnknownValuesEmptyIt) {
  Open();
  Reserve(1);
  Settle(1, "a", 100, 7);
  EXPECT_EQ(Report({.model = "a"}).total_requests, 1);
  EXPECT_EQ(Report({.model = "b"}).total_requests, 0);
  EXPECT_EQ(Report({.target = "mock/m", .task = "fast_summary"}).total_requests, 1);
  EXPECT_EQ(Report({.key = "key_none"}).total_requests, 0);
  EXPECT_EQ(Report({.day = "2001-02-03"}).total_requests, 0);
  EXPECT_FALSE(Await(store_->Usage({.day = "2001-02-30"})));
  EXPECT_FALSE(Await(store_->Usage({.hours = -1})));
}

TEST_F(StoreTest, AnAbandonedReservationIsSettledAsAnEstimateOfWhatItHeld) {
  Open();
  Reserve(1, 500);
  Reserve(2, 900);
  Settle(2, "a", 10, 1);
  Open();
  auto report = VerifyLedger(folder_.path(), {});
  EXPECT_EQ(report->open, 0u);
  EXPECT_EQ(report->settlements, 2u);
  store_.reset();
  auto rebuilt = RebuildProjection(folder_.path(), {});
  ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  EXPECT_EQ(rebuilt->after.charge, 501);
  EXPECT_EQ(rebuilt->before, rebuilt->after);
}

TEST_F(StoreTest, ALostDatabaseIsMadeAnewFromTheSegments) {
  Open();
  Reserve(1);
  Settle(1, "a", 100, 7);
  store_.reset();
  for (const char* name : {"nereid.db", "nereid.db-wal", "nereid.db-shm"}) std::filesystem::remove(folder_.path() / name);
  Open();
  EXPECT_EQ(Report().total_charge, 7);
}

TEST_F(StoreTest, KeysSurviveAndARevokedOneSaysWhen) {
  Open();
  auto first = Await(store_->InsertKey(Key("key_a")));
  ASSERT_TRUE(first);
  EXPECT_EQ(Await(store_->InsertKey(Key("key_a"))).error().code, Code::kConflict);
  ASSERT_TRUE(Await(store_->RevokeKey("key_a", SystemClock().Wall())));
  EXPECT_EQ(Await(store_->RevokeKey("key_a", SystemClock().Wall())).error().code, Code::kNotFound);
  ASSERT_TRUE(store_->InsertKeyAtStart(Key("key_b")));
  Open();
  auto keys = store_->LoadKeys();
  ASSERT_TRUE(keys);
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_TRUE((*keys)[0].revoked_at.has_value());
  EXPECT_EQ((*keys)[1].record.scopes, (std::vector<std::string>{"chat", "model:gpt-*"}));
  EXPECT_GT((*keys)[1].number, *first);
}

TEST_F(StoreTest, StrictModeWaitsForTheDisk) {
  Open(Durability::kStrict);
  EXPECT_TRUE(Await(store_->Synced(Reserve(1))));
}

TEST_F(StoreTest, AnotherProcessIsRefused) {
  Open();
  auto second = Store::Open({folder_.path(), {}});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
}

TEST_F(StoreTest, FilesAreTheOwnersAlone) {
  Open();
  struct stat about{};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
    if (!entry.is_regular_file()) continue;
    ASSERT_EQ(::stat(entry.path().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600u) << entry.path();
  }
}

}  // namespace
}  // namespace nereid::store

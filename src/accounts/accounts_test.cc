// Keys and settlements over a store that is only memory.
#include "accounts/accounts_impl.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <future>

#include "accounts/key_text.h"
#include "net/spawn.h"

namespace nereid::accounts {
namespace {

class MemoryStore final : public Ledger, public KeyStore {
 public:
  Result<std::uint64_t> Append(const LedgerEntry& entry) override {
    if (full) return Error(Code::kUnavailable, "full");
    entries.push_back(entry);
    return entries.size() - 1;
  }
  net::Task<Nothing> Synced(std::uint64_t) override { co_return Nothing{}; }
  Result<std::vector<StoredKey>> LoadKeys() override { return keys; }
  Result<std::int64_t> InsertKeyAtStart(StoredKey key) override {
    key.number = static_cast<std::int64_t>(keys.size()) + 1;
    keys.push_back(key);
    return key.number;
  }
  net::Task<std::int64_t> InsertKey(StoredKey key) override { co_return InsertKeyAtStart(std::move(key)); }
  net::Task<Nothing> RevokeKey(std::string id, WallTime at) override {
    for (StoredKey& key : keys) {
      if (key.record.id == id) key.revoked_at = at;
    }
    co_return Nothing{};
  }

  bool full = false;
  std::vector<LedgerEntry> entries;
  std::vector<StoredKey> keys;
};

class AccountsTest : public ::testing::Test {
 protected:
  AccountsTest() {
    std::string text = (std::filesystem::temp_directory_path() / "nereid-accounts-XXXXXX").string();
    folder_ = ::mkdtemp(text.data());
    Open();
    threads_.Start();
  }
  ~AccountsTest() override {
    threads_.Stop();
    threads_.Join();
    std::filesystem::remove_all(folder_);
  }
  void Open() {
    auto made = AccountsImpl::Create(store_, store_, threads_, folder_, clock_);
    ASSERT_TRUE(made) << made.error().message;
    accounts_ = *std::move(made);
  }
  template <class T>
  Result<T> Await(net::Task<T> task) {
    std::promise<Result<T>> done;
    net::Spawn(threads_.executor(0), std::move(task), [&](Result<T> result) { done.set_value(std::move(result)); });
    return done.get_future().get();
  }
  std::string AdminKey() {
    std::ifstream file(folder_ / "admin.key");
    std::string key;
    file >> key;
    return key;
  }
  Result<Principal> Login(const std::string& key) { return accounts_->Authenticate("Bearer " + key); }
  Principal Admin() { return *Login(AdminKey()); }
  CreatedKey Make(KeySpec spec = {"shop", {"chat"}, std::nullopt}) { return *Await(accounts_->Create(Admin(), std::move(spec))); }
  static std::string Reason(const Result<Principal>& result) { return result ? "none" : result.error().reason; }

  std::filesystem::path folder_;
  FakeClock clock_;
  MemoryStore store_;
  net::IoThreads threads_{2};
  std::unique_ptr<AccountsImpl> accounts_;
};

TEST_F(AccountsTest, TheFirstStartMakesAnAdminKeyThatLaterStartsKeep) {
  std::string key = AdminKey();
  EXPECT_TRUE(ParseKey(key));
  EXPECT_TRUE(Admin().bootstrap);
  struct stat about{};
  ASSERT_EQ(::stat((folder_ / "admin.key").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  for (const StoredKey& stored : store_.keys) EXPECT_EQ(stored.secret_sha256.find(key.substr(15)), std::string::npos);
  Open();
  EXPECT_EQ(AdminKey(), key);
  EXPECT_TRUE(Login(key));
}

TEST_F(AccountsTest, ANewAdminKeyFileEndsTheOldKeyForGood) {
  std::string old = AdminKey();
  std::filesystem::remove(folder_ / "admin.key");
  for (int start = 0; start < 2; ++start) {
    Open();
    EXPECT_EQ(Reason(Login(old)), "api_key_revoked");
    EXPECT_TRUE(Login(AdminKey()));
  }
}

TEST_F(AccountsTest, EachWrongAuthorizationHasItsOwnReason) {
  EXPECT_EQ(Reason(accounts_->Authenticate(std::nullopt)), "missing_api_key");
  for (const char* header : {"sk-123", "Bearer nonsense", "Basic eDp5", "", "Bearer "}) {
    auto result = accounts_->Authenticate(header);
    ASSERT_FALSE(result) << header;
    EXPECT_EQ(result.error().message, "Invalid API key format") << header;
  }
  EXPECT_EQ(accounts_->Authenticate(AdminKey()).error().message, "Invalid API key format") << "without Bearer";
  EXPECT_EQ(Reason(Login(NewKey())), "invalid_api_key");
  std::string wrong = AdminKey();
  wrong.back() = wrong.back() == 'A' ? 'B' : 'A';
  EXPECT_EQ(Reason(Login(wrong)), "invalid_api_key");
  EXPECT_TRUE(accounts_->Authenticate("bearer  " + AdminKey() + " "));
}

TEST_F(AccountsTest, AKeyWorksFromItsCreationToItsEnd) {
  CreatedKey key = Make({"shop", {"chat", "model:gpt-*"}, clock_.Wall() + std::chrono::hours(1)});
  Principal principal = *Login(key.secret);
  EXPECT_EQ(principal.key_id, key.record.id);
  EXPECT_TRUE(principal.Has(Scope::kChat));
  EXPECT_FALSE(principal.Has(Scope::kAdmin));
  EXPECT_EQ(principal.model_globs, std::vector<std::string>{"gpt-*"});
  EXPECT_EQ(Await(accounts_->List())->size(), 1u);
  clock_.Advance(std::chrono::hours(1));
  EXPECT_EQ(Reason(Login(key.secret)), "api_key_expired");
  EXPECT_TRUE(Await(accounts_->List())->empty());
}

TEST_F(AccountsTest, ADeletedKeyIsRevokedAtOnceAndCannotBeDeletedAgain) {
  CreatedKey key = Make();
  EXPECT_TRUE(Await(accounts_->Get(key.record.id)));
  ASSERT_TRUE(Await(accounts_->Delete(key.record.id)));
  EXPECT_EQ(Reason(Login(key.secret)), "api_key_revoked");
  EXPECT_EQ(Await(accounts_->Delete(key.record.id)).error().code, Code::kNotFound);
  EXPECT_EQ(Await(accounts_->Get(key.record.id)).error().code, Code::kNotFound);
}

TEST_F(AccountsTest, TheBootstrapKeyIsHiddenAndStays) {
  Principal admin = Admin();
  EXPECT_TRUE(Await(accounts_->List())->empty());
  EXPECT_EQ(Await(accounts_->Get(admin.key_id)).error().code, Code::kNotFound);
  EXPECT_EQ(Await(accounts_->Delete(admin.key_id)).error().code, Code::kConflict);
  EXPECT_TRUE(Login(AdminKey()));
}

TEST_F(AccountsTest, BadSpecsNameTheirField) {
  auto error = [&](KeySpec spec) { return Await(accounts_->Create(Admin(), std::move(spec))).error().message; };
  EXPECT_TRUE(error({"", {"chat"}, {}}).starts_with("name"));
  EXPECT_TRUE(error({"a\nb", {"chat"}, {}}).starts_with("name"));
  EXPECT_TRUE(error({"a", {"x"}, {}}).starts_with("scopes"));
  EXPECT_TRUE(error({"a", {"chat"}, clock_.Wall()}).starts_with("expires_at"));
}

TEST_F(AccountsTest, ManyCreatedAtOnceAllWork) {
  Principal admin = Admin();
  std::vector<std::promise<Result<CreatedKey>>> done(20);
  for (std::size_t i = 0; i < done.size(); ++i) {
    net::Spawn(threads_.executor(static_cast<int>(i % 2)), accounts_->Create(admin, {"k", {"chat"}, {}}),
               [&done, i](Result<CreatedKey> result) { done[i].set_value(std::move(result)); });
  }
  for (auto& one : done) {
    auto key = one.get_future().get();
    ASSERT_TRUE(key) << key.error().message;
    EXPECT_TRUE(Login(key->secret));
  }
}

TEST_F(AccountsTest, AReservationHoldsItsBoundAndTheSettlementWhatWasUsed) {
  Price charge{.unpriced = false, .input = 3'000'000'000, .output = 8'000'000'000};
  Price unpriced;
  Request request;
  request.principal = Admin();
  request.task = "fast_summary";
  request.call.fields.max_tokens = 10;
  auto held = accounts_->Reserve({request, "gpt-4.1", "openai/gpt-4.1", charge, unpriced});
  ASSERT_TRUE(held);
  EXPECT_EQ(held->held, 80'000);
  Outcome outcome{.usage = {.input = 7, .output = 3}, .usage_source = UsageSource::kProvider};
  ASSERT_TRUE(Await(accounts_->Settle(*held, {"gpt-4.1", "openai/gpt-4.1", charge, unpriced, outcome, 200, Millis(5)})));
  ASSERT_EQ(store_.entries.size(), 2u);
  const LedgerEntry& settled = store_.entries[1];
  EXPECT_EQ(settled.charge, 7 * 3000 + 3 * 8000);
  EXPECT_TRUE(settled.cost_unpriced);
  EXPECT_FALSE(settled.failed);
  EXPECT_EQ(settled.key, request.principal.key);
}

TEST_F(AccountsTest, AnErrorAnswerCostsButIsNotCharged) {
  Price price{.unpriced = false, .input = 1'000'000, .output = 1'000'000};
  Outcome outcome{.usage = {.input = 7}, .failure = Status{Code::kBadGateway, "cut", "", ""}};
  ASSERT_TRUE(Await(accounts_->Settle({}, {"m", "t", price, price, outcome, 502, {}})));
  EXPECT_EQ(store_.entries[0].cost, 7);
  EXPECT_EQ(store_.entries[0].charge, 0);
  EXPECT_TRUE(store_.entries[0].failed);
  ASSERT_TRUE(Await(accounts_->Settle({}, {"m", "t", price, price, outcome, 200, {}})));
  EXPECT_EQ(store_.entries[1].charge, 7) << "a stream that was cut";
  ASSERT_TRUE(Await(accounts_->Settle({}, {"m", "t", price, price, outcome, 0, {}})));
  EXPECT_EQ(store_.entries[2].charge, 0) << "no answer had begun";
}

TEST_F(AccountsTest, AFullLedgerIsSaid) {
  store_.full = true;
  Request request;
  EXPECT_EQ(accounts_->Reserve({request, "m", "t", {}, {}}).error().code, Code::kUnavailable);
  EXPECT_FALSE(Await(accounts_->Settle({}, {"m", "t", {}, {}, {}, 200, {}})));
}

}  // namespace
}  // namespace nereid::accounts

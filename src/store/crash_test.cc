// kill -9 in the middle of appends from several threads: what was acknowledged is there, and the ledger is whole.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "store/store.h"
#include "store/test_folder.h"
#include "store/verify.h"

namespace nereid::store {
namespace {

constexpr std::size_t kAcknowledged = 4000;

LedgerEntry Entry(LedgerKind kind, RequestId id) {
  LedgerEntry entry;
  entry.kind = kind;
  entry.request_id = id;
  entry.at = SystemClock().Wall();
  entry.public_model = "m";
  entry.usage.input = 1;
  entry.charge = 1;
  return entry;
}

// Settles for ever; says each id only after its settlement was appended.
[[noreturn]] void Serve(const std::filesystem::path& folder, int out) {
  StoreConfig config;
  config.segment_bytes = 1 << 20;
  auto store = Store::Open({folder, config});
  if (!store) ::_exit(1);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&store, out] {
      for (;;) {
        RequestId id = NewRequestId(SystemClock().Wall());
        if (!(*store)->Append(Entry(LedgerKind::kReserve, id)) || !(*store)->Append(Entry(LedgerKind::kSettle, id))) ::_exit(1);
        if (::write(out, id.bytes.data(), id.bytes.size()) != 16) ::_exit(1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ::_exit(1);
}

TEST(Crash, NothingAcknowledgedIsLostOverSeveralKills) {
  TestFolder folder("crash");
  std::set<RequestId> seen;
  for (int round = 0; round < 3; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    pid_t child = ::fork();
    if (child == 0) Serve(folder.path(), ends[1]);
    ::close(ends[1]);
    RequestId id;
    for (std::size_t i = 0; i < kAcknowledged && ::read(ends[0], id.bytes.data(), 16) == 16; ++i) seen.insert(id);
    ::kill(child, SIGKILL);
    while (::read(ends[0], id.bytes.data(), 16) == 16) seen.insert(id);
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
  }
  ASSERT_GE(seen.size(), 3 * kAcknowledged);

  auto verified = VerifyLedger(folder.path(), {});
  ASSERT_TRUE(verified);
  EXPECT_TRUE(verified->problems.empty()) << verified->problems[0];
  auto rebuilt = RebuildProjection(folder.path(), {});
  ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  EXPECT_EQ(rebuilt->before, rebuilt->after);
  auto database = Database::Open(DatabaseFile(folder.path()));
  auto rows = Statement::Prepare(*database, "SELECT request_id FROM ledger WHERE kind = 2");
  while (*rows->Step()) {
    RequestId id;
    std::memcpy(id.bytes.data(), rows->Text(0).data(), 16);
    seen.erase(id);
  }
  EXPECT_TRUE(seen.empty()) << seen.size() << " acknowledged settlements have no row";
}

}  // namespace
}  // namespace nereid::store

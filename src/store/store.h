// The embedded store: the ledger's segments, and SQLite for keys and reports, behind three threads. Everything that asks for SQL is here.
//   store-w  syncs the segments, seals the hash chain, allocates ahead
//   store-p  SQL that writes: the projection and the keys
//   store-r  SQL that reads
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "api/reports.h"
#include "api/store.h"
#include "config/config.h"
#include "net/spawn.h"
#include "store/ledger_log.h"
#include "store/projection.h"
#include "store/sqlite.h"
#include "store/state_folder.h"
#include "store/worker.h"

namespace nereid::store {

struct StoreOptions {
  std::filesystem::path state_folder;
  StoreConfig config;
  const Clock& clock = SystemClock();
};

class Store final : public Ledger, public KeyStore, public Reports {
 public:
  // Blocking; before the io threads run. Recovers the segments, brings the projection up to date and settles the reservations that an
  // earlier process left open as estimates. kConflict when another process holds the folder (names it), kUnsupported for another store.
  static Result<std::unique_ptr<Store>> Open(StoreOptions options);
  // After the io threads ended but before their contexts are destroyed, to which this object's threads may still post. Syncs, seals and
  // projects what is left.
  ~Store() override;

  Result<std::uint64_t> Append(const LedgerEntry& entry) override;
  // Ends at once in relaxed mode.
  net::Task<Nothing> Synced(std::uint64_t offset) override;

  Result<std::vector<StoredKey>> LoadKeys() override;
  Result<std::int64_t> InsertKeyAtStart(StoredKey key) override;
  net::Task<std::int64_t> InsertKey(StoredKey key) override;
  net::Task<Nothing> RevokeKey(std::string id, WallTime at) override;

  net::Task<UsageReport> Usage(UsageFilter filter) override;

 private:
  struct SyncWaiter {
    std::uint64_t sequence;
    net::OneShot<Nothing>::Completer done;
  };

  Store(StoreOptions options, StateLock lock) : options_(std::move(options)), lock_(std::move(lock)) {}
  Result<Nothing> Start();
  Result<Nothing> SettleAbandoned();
  void SyncTick();
  void ProjectTick();

  const StoreOptions options_;
  const StateLock lock_;
  std::unique_ptr<LedgerLog> log_;
  std::unique_ptr<Database> write_database_;  // store-p only, once the threads run
  std::unique_ptr<Database> read_database_;   // store-r only
  std::unique_ptr<Projection> projection_;    // store-p only

  std::mutex mutex_;
  std::vector<SyncWaiter> waiters_;     // guarded by mutex_; bounded by the requests in flight
  SteadyTime sealed_at_{};              // store-w only
  SteadyTime complained_{};             // store-w only: when a failing disk was last logged
  SteadyTime projection_complained_{};  // store-p only

  std::unique_ptr<Worker> sync_worker_, project_worker_, read_worker_;
};

}  // namespace nereid::store

// Keys and money over a store: who may come in, and what each request is charged.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "accounts/key_table.h"
#include "api/accounts.h"
#include "api/key_admin.h"
#include "api/store.h"
#include "net/snapshot.h"

namespace nereid::accounts {

class AccountsImpl final : public Accounts, public KeyAdmin {
 public:
  // Blocking; before the io threads run. Makes the first admin key and its file when there is none. All references outlive it.
  static Result<std::unique_ptr<AccountsImpl>> Create(Ledger& ledger, KeyStore& keys, net::IoThreads& threads,
                                                      const std::filesystem::path& state_folder, const Clock& clock = SystemClock());

  // Any thread; on an io thread without a lock.
  Result<Principal> Authenticate(std::optional<std::string_view> authorization) const override;
  Result<Reservation> Reserve(const ReserveInput& input) override;
  // The record is written by the call itself; the task only waits for the disk in strict mode.
  net::Task<Nothing> Settle(const Reservation& reservation, const Settlement& settlement) override;

  net::Task<CreatedKey> Create(const Principal& creator, KeySpec spec) override;
  net::Task<std::vector<KeyRecord>> List() override;
  net::Task<KeyRecord> Get(std::string id) override;
  net::Task<Nothing> Delete(std::string id) override;

 private:
  AccountsImpl(Ledger& ledger, KeyStore& store, net::IoThreads& threads, const Clock& clock, std::vector<StoredKey> keys);
  static Result<Nothing> EnsureAdminKey(KeyStore& store, std::vector<StoredKey>& keys, const std::filesystem::path& state_folder,
                                        WallTime now);

  net::Task<CreatedKey> CreateAlone(KeySpec spec);
  net::Task<Nothing> DeleteAlone(std::string id);
  net::Task<Nothing> Enter();  // one change of the keys at a time, so that snapshots are published in order
  void Leave();
  net::Task<Nothing> PublishKeys();
  bool Active(const StoredKey& key) const;

  Ledger& ledger_;
  KeyStore& store_;
  const Clock& clock_;
  net::Published<KeyTable> published_;  // for threads that are no io threads
  net::PerThread<KeyTable> per_thread_;

  mutable std::mutex mutex_;
  std::vector<StoredKey> keys_;  // guarded by mutex_
  bool changing_ = false;        // guarded by mutex_
};

}  // namespace nereid::accounts

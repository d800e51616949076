#include "store/schema.h"

#include <iterator>

#include <fmt/format.h>

namespace nereid::store {
namespace {

// Appended to, never edited: PRAGMA user_version counts how many of them a database has.
constexpr const char* kMigrations[] = {
    R"sql(
CREATE TABLE keys(
  number INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the ledger; never used again
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,                      -- one a line
  created_at INTEGER NOT NULL,               -- Unix microseconds, like all times here
  expires_at INTEGER,
  revoked_at INTEGER,
  secret_sha256 BLOB NOT NULL,
  bootstrap INTEGER NOT NULL);
-- What follows is a projection of the ledger's segments and can be made anew from them.
CREATE TABLE projection(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  projected INTEGER NOT NULL,                -- every record below it is in the tables
  oldest_open INTEGER NOT NULL);             -- no reservation below it is still unsettled
INSERT INTO projection VALUES (1, 0, 0);
CREATE TABLE names(number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE ledger(
  sequence INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,                     -- 2 settlement, 3 adjustment; reservations stay in the segments
  request_id BLOB NOT NULL,
  at INTEGER NOT NULL,
  key INTEGER NOT NULL,
  model INTEGER NOT NULL, target INTEGER NOT NULL, task INTEGER NOT NULL,   -- names
  input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
  cost INTEGER NOT NULL, charge INTEGER NOT NULL, held INTEGER NOT NULL,    -- nano-dollars
  latency_us INTEGER NOT NULL,
  cost_price INTEGER NOT NULL, charge_price INTEGER NOT NULL,               -- price versions
  http_status INTEGER NOT NULL,
  usage_source INTEGER NOT NULL,             -- 0 none, 1 provider, 2 tokenizer, 3 estimate
  flags INTEGER NOT NULL);                   -- 1 cost unpriced, 2 charge unpriced, 4 failed, 8 settled by a later process
CREATE INDEX ledger_at ON ledger(at);
)sql",
};
constexpr int kVersion = static_cast<int>(std::size(kMigrations));

}  // namespace

Result<Nothing> Migrate(Database& database) {
  TRY(Transaction transaction, Transaction::Begin(database));
  std::int64_t version = 0;
  {
    TRY(Statement read, Statement::Prepare(database, "PRAGMA user_version"));
    TRY_DO(read.Step());
    version = read.Int(0);
  }
  if (version > kVersion) {
    return Error(Code::kUnsupported,
                 fmt::format("the database is of version {}, made by a newer Nereid; this one knows {}", version, kVersion), "database");
  }
  for (std::int64_t i = version; i < kVersion; ++i) TRY_DO(database.Execute(kMigrations[i]));
  TRY_DO(database.Execute(fmt::format("PRAGMA user_version = {}", kVersion).c_str()));
  return transaction.Commit();
}

}  // namespace nereid::store

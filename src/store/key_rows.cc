#include "store/key_rows.h"

#include <sqlite3.h>

#include "store/times.h"

namespace nereid::store {
namespace {

constexpr std::string_view kSelect =
    "SELECT number, id, name, scopes, created_at, expires_at, revoked_at, secret_sha256, bootstrap FROM keys ORDER BY number";
constexpr std::string_view kExists = "SELECT 1 FROM keys WHERE id = ?";
constexpr std::string_view kInsert =
    "INSERT INTO keys(id, name, scopes, created_at, expires_at, secret_sha256, bootstrap) VALUES (?, ?, ?, ?, ?, ?, ?)";
constexpr std::string_view kRevoke = "UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";

// A key that a client was shown must not vanish with the power, so its transaction waits for the disk.
class FullSync {
 public:
  explicit FullSync(Database& database) : database_(database) { (void)database_.Execute("PRAGMA synchronous=FULL"); }
  ~FullSync() { (void)database_.Execute("PRAGMA synchronous=NORMAL"); }
  FullSync(const FullSync&) = delete;
  FullSync& operator=(const FullSync&) = delete;

 private:
  Database& database_;
};

std::string Lines(const std::vector<std::string>& texts) {
  std::string lines;
  for (const std::string& text : texts) lines += (lines.empty() ? "" : "\n") + text;
  return lines;
}

std::vector<std::string> SplitLines(std::string_view lines) {
  std::vector<std::string> texts;
  while (!lines.empty()) {
    std::size_t end = std::min(lines.find('\n'), lines.size());
    texts.emplace_back(lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return texts;
}

std::optional<WallTime> OptionalTime(const Statement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return FromMicros(row.Int(column));
}

}  // namespace

Result<std::vector<StoredKey>> ReadKeys(Database& database) {
  TRY(Statement rows, Statement::Prepare(database, kSelect));
  std::vector<StoredKey> keys;
  for (;;) {
    TRY(bool row, rows.Step());
    if (!row) return keys;
    StoredKey key;
    key.number = rows.Int(0);
    key.record.id = rows.Text(1);
    key.record.name = rows.Text(2);
    key.record.scopes = SplitLines(rows.Text(3));
    key.record.created_at = FromMicros(rows.Int(4));
    key.record.expires_at = OptionalTime(rows, 5);
    key.revoked_at = OptionalTime(rows, 6);
    key.secret_sha256 = rows.Text(7);
    key.bootstrap = rows.Int(8) != 0;
    keys.push_back(std::move(key));
  }
}

Result<std::int64_t> InsertKeyRow(Database& database, const StoredKey& key) {
  FullSync full(database);
  TRY(Transaction transaction, Transaction::Begin(database));
  {
    TRY(Statement exists, Statement::Prepare(database, kExists));
    TRY(bool found, exists.BindText(1, key.record.id).Step());
    if (found) return Error(Code::kConflict, "a key with this id exists", "key_exists");
  }
  TRY(Statement insert, Statement::Prepare(database, kInsert));
  insert.BindText(1, key.record.id)
      .BindText(2, key.record.name)
      .BindText(3, Lines(key.record.scopes))
      .Bind(4, ToMicros(key.record.created_at));
  if (key.record.expires_at) insert.Bind(5, ToMicros(*key.record.expires_at));
  insert.BindBlob(6, key.secret_sha256).Bind(7, key.bootstrap ? 1 : 0);
  TRY_DO(insert.Run());
  std::int64_t number = sqlite3_last_insert_rowid(database.handle());
  TRY_DO(transaction.Commit());
  return number;
}

Result<Nothing> RevokeKeyRow(Database& database, const std::string& id, WallTime at) {
  FullSync full(database);
  TRY(Statement revoke, Statement::Prepare(database, kRevoke));
  TRY_DO(revoke.Bind(1, ToMicros(at)).BindText(2, id).Run());
  if (sqlite3_changes(database.handle()) == 0) return Error(Code::kNotFound, "no such key", "key_not_found");
  return Nothing{};
}

}  // namespace nereid::store

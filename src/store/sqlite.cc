#include "store/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <utility>

#include <fmt/format.h>

namespace nereid::store {
namespace {

constexpr int kBusyTimeoutMs = 5000;
// NORMAL: the ledger's segments are the truth and keys are written with FULL, see key_rows.cc.
constexpr char kPragmas[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864;";

}  // namespace

Result<Database> Database::Open(const std::filesystem::path& file) {
  int made = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);  // SQLite gives its WAL files the same mode
  if (made >= 0) ::close(made);
  sqlite3* handle = nullptr;
  int error = sqlite3_open_v2(file.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(handle);
  if (error != SQLITE_OK) return database.Failure(fmt::format("open {}", file.string()));
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  TRY_DO(database.Execute(kPragmas));
  return database;
}

Database::~Database() {
  sqlite3_close_v2(handle_);
}

std::unexpected<Status> Database::Failure(std::string_view what) const {
  bool full = handle_ && (sqlite3_errcode(handle_) & 0xff) == SQLITE_FULL;
  return Error(full ? Code::kUnavailable : Code::kInternal, full ? "the disk of the database is full" : "the database failed", "database",
               fmt::format("{}: {}", what, handle_ ? sqlite3_errmsg(handle_) : "out of memory"));
}

Result<Nothing> Database::Execute(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return Failure(sql);
  return Nothing{};
}

Result<Statement> Statement::Prepare(Database& database, std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  if (sqlite3_prepare_v3(database.handle(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &handle, nullptr) !=
      SQLITE_OK) {
    return database.Failure(sql);
  }
  return Statement(database, handle);
}

Statement::~Statement() {
  sqlite3_finalize(handle_);
}

Statement& Statement::Bind(int at, std::int64_t value) {
  NEREID_CHECK(sqlite3_bind_int64(handle_, at, value) == SQLITE_OK);
  return *this;
}
Statement& Statement::BindText(int at, std::string_view text) {
  NEREID_CHECK(sqlite3_bind_text64(handle_, at, text.data() ? text.data() : "", text.size(), SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK);
  return *this;
}
Statement& Statement::BindBlob(int at, std::string_view bytes) {
  NEREID_CHECK(sqlite3_bind_blob64(handle_, at, bytes.data() ? bytes.data() : "", bytes.size(), SQLITE_TRANSIENT) == SQLITE_OK);
  return *this;
}
Statement& Statement::BindNull(int at) {
  NEREID_CHECK(sqlite3_bind_null(handle_, at) == SQLITE_OK);
  return *this;
}

Result<bool> Statement::Step() {
  int result = sqlite3_step(handle_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  auto failure = database_->Failure(sqlite3_sql(handle_));
  Reset();
  return failure;
}

Result<Nothing> Statement::Run() {
  for (;;) {
    TRY(bool row, Step());
    if (!row) break;
  }
  Reset();
  return Nothing{};
}

void Statement::Reset() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

std::int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(handle_, column);
}
std::string_view Statement::Text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  return {bytes ? bytes : "", static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}
bool Statement::IsNull(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

Result<Transaction> Transaction::Begin(Database& database) {
  TRY_DO(database.Execute("BEGIN IMMEDIATE"));
  return Transaction(&database);
}

Transaction::~Transaction() {
  if (database_) (void)database_->Execute("ROLLBACK");
}

Result<Nothing> Transaction::Commit() {
  TRY_DO(database_->Execute("COMMIT"));
  database_ = nullptr;
  return Nothing{};
}

}  // namespace nereid::store

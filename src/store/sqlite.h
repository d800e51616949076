// SQLite with our error type: a connection and its statements. One thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace nereid::store {

class Database {
 public:
  // WAL, so that reports do not wait for the projection. The file is made with mode 0600.
  static Result<Database> Open(const std::filesystem::path& file);
  Database(Database&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Database& operator=(Database&&) = delete;
  ~Database();

  Result<Nothing> Execute(const char* sql);
  sqlite3* handle() const { return handle_; }
  // kUnavailable when the disk is full, else kInternal; the message is for the log, so the client sees a general one.
  std::unexpected<Status> Failure(std::string_view what) const;

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}
  sqlite3* handle_;
};

class Statement {
 public:
  static Result<Statement> Prepare(Database& database, std::string_view sql);
  Statement(Statement&& other) noexcept : database_(other.database_), handle_(std::exchange(other.handle_, nullptr)) {}
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Positions count from 1. Texts and blobs are copied.
  Statement& Bind(int at, std::int64_t value);
  Statement& BindText(int at, std::string_view text);
  Statement& BindBlob(int at, std::string_view bytes);
  Statement& BindNull(int at);

  Result<bool> Step();    // true: a row
  Result<Nothing> Run();  // to its end, then Reset
  void Reset();

  // Columns count from 0; texts live until the next Step.
  std::int64_t Int(int column) const;
  std::string_view Text(int column) const;
  bool IsNull(int column) const;

 private:
  Statement(Database& database, sqlite3_stmt* handle) : database_(&database), handle_(handle) {}
  Database* database_;
  sqlite3_stmt* handle_;
};

// BEGIN IMMEDIATE ... COMMIT; rolled back when it is destroyed without Commit.
class Transaction {
 public:
  static Result<Transaction> Begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<Nothing> Commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

}  // namespace nereid::store

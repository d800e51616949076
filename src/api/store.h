// What accounts/ needs of the store: an append-only ledger, and rows for keys. Implemented in store/; SQL is only there.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/key_admin.h"
#include "api/target.h"
#include "base/ids.h"
#include "net/task.h"

namespace nereid {

enum class LedgerKind : std::uint8_t { kReserve = 1, kSettle = 2, kAdjust = 3 };

// One ledger row in fixed-size form; texts are cut to what the record holds. No prompt or answer text, ever.
struct LedgerEntry {
  LedgerKind kind = LedgerKind::kReserve;
  RequestId request_id;
  WallTime at{};
  std::int64_t key = 0;
  std::string_view public_model, target, task;
  TokenUsage usage;
  UsageSource usage_source = UsageSource::kNone;
  NanoUsd cost = 0, charge = 0, held = 0;
  bool cost_unpriced = false, charge_unpriced = false;
  std::uint32_t cost_price_version = 0, charge_price_version = 0;
  Nanos latency{};
  std::uint16_t http_status = 0;
  bool failed = false;
};

class Ledger {
 public:
  virtual ~Ledger() = default;
  // Any thread; no system call in the common case. Survives kill -9 from the moment it returns. Answers the record's offset.
  // Fails only when the preallocated space is used up and the disk is full.
  virtual Result<std::uint64_t> Append(const LedgerEntry& entry) = 0;
  // Ends when the record at `offset` is on the disk (strict durability). On an io thread.
  virtual net::Task<Nothing> Synced(std::uint64_t offset) = 0;
};

struct StoredKey {
  std::int64_t number = 0;  // internal, never reused
  KeyRecord record;
  std::string secret_sha256;  // 32 bytes
  bool bootstrap = false;
  std::optional<WallTime> revoked_at;
};

class KeyStore {
 public:
  virtual ~KeyStore() = default;
  // Blocking; at start, before the io threads run.
  virtual Result<std::vector<StoredKey>> LoadKeys() = 0;
  virtual Result<std::int64_t> InsertKeyAtStart(StoredKey key) = 0;
  // On an io thread; the work runs on the store's thread. Answers the key's number.
  virtual net::Task<std::int64_t> InsertKey(StoredKey key) = 0;
  virtual net::Task<Nothing> RevokeKey(std::string id, WallTime at) = 0;
};

}  // namespace nereid

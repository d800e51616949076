// The ledger's record: 256 bytes, fixed, little-endian, checksummed. The format is a contract with files on disks: change it only with a
// new kFormat.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/store.h"
#include "base/sha256.h"

namespace nereid::store {

inline constexpr std::size_t kRecordBytes = 256;
inline constexpr std::uint8_t kFormat = 1;

// Kinds of records; the first three are LedgerKind's.
inline constexpr std::uint8_t kReserveRecord = 1, kSettleRecord = 2, kAdjustRecord = 3;
inline constexpr std::uint8_t kSealRecord = 16;   // closes a group of the hash chain
inline constexpr std::uint8_t kEpochRecord = 17;  // a server process began

inline constexpr std::uint8_t kCostUnpriced = 1, kChargeUnpriced = 2, kFailed = 4;
inline constexpr std::uint8_t kRecovered = 8;  // settled as an estimate by a later process

// `check` and `magic` are the first eight bytes and are stored last: while they are zero the slot holds nothing, so that a store which
// kill -9 cut in half is told apart from a damaged record.
struct Record {
  std::uint32_t check;  // CRC-32C of what follows
  std::uint16_t magic;
  std::uint8_t format, kind;
  std::uint64_t sequence;  // of the record in the whole ledger, from 0
  std::uint64_t epoch;     // of the process that wrote it, from 1
  std::array<std::uint8_t, 16> request_id;
  std::int64_t at_ns;  // Unix time
  std::int64_t key;
  std::int64_t input, cache_read, cache_write, output, reasoning;
  std::int64_t cost, charge, held, latency_ns;
  std::uint32_t cost_price_version, charge_price_version;
  std::uint16_t http_status;
  std::uint8_t usage_source, flags;
  std::uint8_t model_size, target_size, task_size, unused;
  std::array<char, 112> texts;  // public model, target, task, without separators
};
static_assert(sizeof(Record) == kRecordBytes && offsetof(Record, texts) == 144);
inline constexpr std::uint16_t kMagic = 0x4c4e;  // "NL"

// Of a seal: what it closes, kept in `texts` (hashes) and the usage fields.
struct Seal {
  std::uint64_t first = 0, last = 0;  // sequences, both included
  Sha256Digest previous{}, hash{};    // hash = SHA-256(previous, the records' bytes)
};

// Texts that do not fit together are cut, each with eight hex digits of its hash, so that two long names stay two.
Record EncodeEntry(const LedgerEntry& entry);
Record EncodeSeal(const Seal& seal);
Record EncodeEpoch();
// Puts sequence and epoch in and computes the checksum; the record is then ready to be stored.
void Stamp(Record& record, std::uint64_t sequence, std::uint64_t epoch);

enum class SlotState : std::uint8_t {
  kEmpty,    // all zero
  kTorn,     // never finished: check and magic are zero, other bytes are not
  kDamaged,  // finished once, but its bytes are not what was written, or not for this place
  kValid,
};
// `bytes` has kRecordBytes. `out` is written when kValid.
SlotState Inspect(const void* bytes, std::uint64_t sequence, Record& out);

std::string_view PublicModel(const Record& record);
std::string_view TargetName(const Record& record);
std::string_view TaskName(const Record& record);
Seal SealOf(const Record& record);
inline RequestId IdOf(const Record& record) {
  return RequestId{record.request_id};
}

}  // namespace nereid::store

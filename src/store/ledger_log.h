// The append-only ledger: where the next record goes, what is on the disk, and the hash chain. SQL knows nothing of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "store/segment.h"
#include "store/segment_reader.h"

namespace nereid::store {

class LedgerLog {
 public:
  // Continues after the last finished record and begins a new epoch. A record that was torn by a crash is erased; a damaged one stays
  // where it is for `ledger verify` to name. The caller holds the state folder's lock.
  static Result<std::unique_ptr<LedgerLog>> Open(std::filesystem::path folder, std::uint64_t segment_bytes);

  // Any thread. Answers the record's sequence. No system call unless the store thread fell a whole segment behind.
  // When the disk is full (kUnavailable) room is kept for the settlements of the reservations in flight.
  Result<std::uint64_t> Append(Record record);
  // Every record below it is stored. Any thread.
  std::uint64_t next() const { return next_.load(std::memory_order_acquire); }
  std::uint64_t epoch() const { return epoch_; }
  // Every record below it is on the disk. Any thread.
  std::uint64_t synced() const { return synced_.load(std::memory_order_acquire); }

  // ---- the store thread only
  // Allocates the segment after the current one, and makes what the next period will store to writable. After Sync, best.
  Result<Nothing> PrepareAhead();
  Result<Nothing> SealGroup();  // closes a group of the chain, when there is something to close
  Result<Nothing> Sync();

 private:
  LedgerLog(std::filesystem::path folder, std::uint64_t segment_bytes)
      : folder_(std::move(folder)), segment_bytes_(segment_bytes), reader_(folder_) {}
  Result<Nothing> Recover();
  Result<Nothing> FindChain(std::uint64_t begin);
  Result<Nothing> EnsureAhead(std::unique_lock<std::mutex>& lock);
  std::uint64_t RoomLocked() const;

  const std::filesystem::path folder_;
  const std::uint64_t segment_bytes_;
  std::uint64_t epoch_ = 1;        // set once
  SegmentReader reader_;           // store thread only
  std::uint64_t prepared_at_ = 0;  // store thread only: next() at the last PrepareAhead
  std::uint64_t sealed_end_ = 0;   // store thread only: first record that no seal covers
  Sha256Digest chain_{};           // store thread only: hash of the last seal

  std::mutex mutex_;
  std::condition_variable created_;               // signalled when creating_ ends
  bool creating_ = false;                         // guarded by mutex_: the store thread is making ahead_
  std::shared_ptr<Segment> current_, ahead_;      // guarded by mutex_
  std::vector<std::shared_ptr<Segment>> filled_;  // guarded by mutex_: full but not yet synced
  std::uint64_t open_reservations_ = 0;           // guarded by mutex_
  std::atomic<std::uint64_t> next_{0};            // written with mutex_ held
  std::atomic<std::uint64_t> synced_{0};
};

}  // namespace nereid::store

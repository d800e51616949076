#include "store/ledger_log.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"

namespace nereid::store {
namespace {

constexpr std::uint64_t kPrefaultMin = 64, kPrefaultMax = 16'384;  // records: 16 KiB to 4 MiB ahead

bool SettlesSomething(std::uint8_t kind) {
  return kind == kSettleRecord || kind == kAdjustRecord;
}

}  // namespace

Result<std::unique_ptr<LedgerLog>> LedgerLog::Open(std::filesystem::path folder, std::uint64_t segment_bytes) {
  std::unique_ptr<LedgerLog> log(new LedgerLog(std::move(folder), segment_bytes));
  TRY_DO(log->Recover());
  Record epoch = EncodeEpoch();
  TRY_DO(log->Append(epoch));
  return log;
}

Result<Nothing> LedgerLog::Recover() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    if (entry.path().extension() == ".tmp") std::filesystem::remove(entry.path(), ignored);
  }
  TRY(std::uint64_t begin, reader_.Begin());
  TRY(std::uint64_t end, reader_.End());
  TRY(std::vector<std::filesystem::path> files, SegmentFiles(folder_));
  Record record;
  for (const auto& file : files) {
    TRY(std::unique_ptr<Segment> segment, Segment::Open(file, true));
    if (segment->end() <= end) continue;
    if (segment->Holds(end)) {
      for (std::uint64_t at = end; at < segment->end(); ++at) {
        if (segment->Read(at, record) == SlotState::kTorn) segment->Erase(at);
      }
      segment->ReleasePages();
      current_ = std::move(segment);
    } else if (current_ && segment->first() == current_->end()) {
      ahead_ = std::move(segment);
    }
  }
  if (!current_) {
    TRY(std::unique_ptr<Segment> made, Segment::Create(folder_, end, segment_bytes_));
    current_ = std::move(made);
  }
  next_ = synced_ = prepared_at_ = end;
  for (std::uint64_t at = end; at > begin; --at) {
    TRY(SlotState state, reader_.Read(at - 1, record));
    if (state != SlotState::kValid) continue;
    epoch_ = record.epoch + 1;
    break;
  }
  return FindChain(begin);
}

Result<Nothing> LedgerLog::FindChain(std::uint64_t begin) {
  sealed_end_ = begin;
  Record record;
  for (std::uint64_t at = next(); at > begin; --at) {
    TRY(SlotState state, reader_.Read(at - 1, record));
    if (state != SlotState::kValid || record.kind != kSealRecord) continue;
    Seal seal = SealOf(record);
    chain_ = seal.hash;
    sealed_end_ = seal.last + 1;
    break;
  }
  return Nothing{};
}

std::uint64_t LedgerLog::RoomLocked() const {
  return current_->end() - next_.load(std::memory_order_relaxed) + (ahead_ ? ahead_->slots() : 0);
}

Result<Nothing> LedgerLog::EnsureAhead(std::unique_lock<std::mutex>& lock) {
  created_.wait(lock, [this] { return !creating_; });
  if (ahead_) return Nothing{};
  Result<std::unique_ptr<Segment>> made = Segment::Create(folder_, current_->end(), segment_bytes_);
  // A client sees the message, so the path is for the log.
  if (!made) return Error(Code::kUnavailable, "The ledger has no room for another request", "ledger_full", std::move(made).error().message);
  ahead_ = *std::move(made);
  return Nothing{};
}

Result<std::uint64_t> LedgerLog::Append(Record record) {
  std::unique_lock lock(mutex_);
  // The slots that the reservations in flight will need are not given to anything else.
  if (!SettlesSomething(record.kind) && RoomLocked() <= open_reservations_ + 1) {
    TRY_DO(EnsureAhead(lock));
    if (RoomLocked() <= open_reservations_ + 1)
      return Error(Code::kUnavailable, "too many requests in flight for the ledger's segments", "ledger_full");
  }
  if (!current_->Holds(next())) {
    TRY_DO(EnsureAhead(lock));
    // Another appender may have rolled over while this one waited.
    if (!current_->Holds(next())) {
      filled_.push_back(std::move(current_));
      current_ = std::move(ahead_);
    }
  }
  std::uint64_t sequence = next();
  Stamp(record, sequence, epoch_);
  current_->Store(record);
  if (record.kind == kReserveRecord) ++open_reservations_;
  if (record.kind == kSettleRecord && open_reservations_ > 0) --open_reservations_;
  next_.store(sequence + 1, std::memory_order_release);
  return sequence;
}

Result<Nothing> LedgerLog::PrepareAhead() {
  std::shared_ptr<Segment> current;
  bool wanted;
  {
    std::lock_guard lock(mutex_);
    current = current_;
    wanted = creating_ = !ahead_;
  }
  // A little more than what the last period took.
  std::uint64_t at = next(), count = std::clamp((at - std::exchange(prepared_at_, at)) * 9 / 8, kPrefaultMin, kPrefaultMax);
  if (current->Holds(at)) current->Prefault(at, count);
  if (!wanted) return Nothing{};
  Result<std::unique_ptr<Segment>> made = Segment::Create(folder_, current->end(), segment_bytes_);
  {
    std::lock_guard lock(mutex_);
    creating_ = false;
    if (made) ahead_ = std::move(*made);
  }
  created_.notify_all();
  if (!made) return std::unexpected(std::move(made).error());
  return Nothing{};
}

Result<Nothing> LedgerLog::SealGroup() {
  std::uint64_t end = next();
  if (end == sealed_end_) return Nothing{};
  if (end == sealed_end_ + 1) {
    Record last;
    TRY(SlotState state, reader_.Read(sealed_end_, last));
    if (state == SlotState::kValid && last.kind == kSealRecord) return Nothing{};  // only the last seal itself is open
  }
  Seal seal{sealed_end_, end - 1, chain_, {}};
  TRY(seal.hash, reader_.HashGroup(chain_, seal.first, seal.last));
  TRY_DO(Append(EncodeSeal(seal)));
  chain_ = seal.hash;
  sealed_end_ = end;
  return Nothing{};
}

Result<Nothing> LedgerLog::Sync() {
  std::vector<std::shared_ptr<Segment>> dirty;
  std::uint64_t end;
  {
    std::lock_guard lock(mutex_);
    end = next_.load(std::memory_order_relaxed);
    if (end == synced()) return Nothing{};
    dirty.swap(filled_);
    dirty.push_back(current_);
  }
  for (std::size_t i = 0; i < dirty.size(); ++i) {
    dirty[i]->ReleasePages();
    if (Result<Nothing> done = dirty[i]->Sync(); !done) {
      std::lock_guard lock(mutex_);
      filled_.insert(filled_.begin(), dirty.begin() + static_cast<std::ptrdiff_t>(i), dirty.end() - 1);
      return done;
    }
  }
  synced_.store(end, std::memory_order_release);
  return Nothing{};
}

}  // namespace nereid::store

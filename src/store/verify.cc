#include "store/verify.h"

#include <set>

#include <fmt/format.h>

#include "store/schema.h"
#include "store/segment_reader.h"
#include "store/state_folder.h"

namespace nereid::store {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kProgressStep = 100'000;

class Verifier {
 public:
  Verifier(const fs::path& folder, bool growing) : folder_(folder), growing_(growing), reader_(folder) {}

  Result<VerifyReport> Run(const Progress& progress) {
    TRY(begin_, reader_.Begin());
    TRY(end_, reader_.End());
    chain_end_ = begin_;
    if (begin_ != 0) Problem(begin_, "the files before it are missing");
    TRY_DO(CheckFiles());
    for (std::uint64_t at = begin_; at < end_; ++at) {
      TRY_DO(CheckRecord(at));
      if (progress && (at + 1 == end_ || (at - begin_ + 1) % kProgressStep == 0)) progress(at - begin_ + 1, end_ - begin_);
    }
    if (!growing_) TRY_DO(CheckRest());
    report_.open = open_.size();
    report_.unsealed = end_ - chain_end_;
    return std::move(report_);
  }

 private:
  void Problem(std::uint64_t at, std::string_view what) {
    if (report_.problems.size() < kProblemsMax) report_.problems.push_back(fmt::format("record {}: {}", at, what));
  }

  Result<Nothing> CheckFiles() {
    TRY(std::vector<fs::path> files, SegmentFiles(folder_));
    std::uint64_t expected = begin_;
    for (const fs::path& file : files) {
      TRY(std::unique_ptr<Segment> segment, Segment::Open(file, false));
      if (segment->first() != expected) Problem(expected, fmt::format("no file holds it; the next one is {}", file.filename().string()));
      expected = segment->end();
    }
    return Nothing{};
  }

  Result<Nothing> CheckRecord(std::uint64_t at) {
    Record record;
    Result<SlotState> state = reader_.Read(at, record);
    if (!state && state.error().code == Code::kNotFound) return Nothing{};  // CheckFiles named it
    if (!state) return std::unexpected(std::move(state).error());
    switch (*state) {
      case SlotState::kEmpty: Problem(at, "missing: its place is empty although later records exist"); return Nothing{};
      case SlotState::kTorn: Problem(at, "torn although later records exist"); return Nothing{};
      case SlotState::kDamaged: Problem(at, "damaged: checksum, format or sequence is wrong"); return Nothing{};
      case SlotState::kValid: break;
    }
    ++report_.records;
    if (record.epoch < epoch_) Problem(at, fmt::format("epoch {} after epoch {}", record.epoch, epoch_));
    epoch_ = record.epoch;
    switch (record.kind) {
      case kReserveRecord:
        ++report_.reserves;
        if (!open_.insert(IdOf(record)).second) Problem(at, fmt::format("request {} is reserved twice", IdOf(record).ToString()));
        break;
      case kSettleRecord:
        ++report_.settlements;
        if (open_.erase(IdOf(record)) == 0)
          Problem(at, fmt::format("settlement of request {} without an open reservation", IdOf(record).ToString()));
        break;
      case kAdjustRecord:
      case kEpochRecord: break;
      case kSealRecord: return CheckSeal(at, SealOf(record));
      default: Problem(at, fmt::format("unknown kind {}", record.kind));
    }
    return Nothing{};
  }

  Result<Nothing> CheckSeal(std::uint64_t at, const Seal& seal) {
    ++report_.seals;
    if (seal.first != chain_end_ || seal.last < seal.first || seal.last >= at) {
      Problem(at, fmt::format("the seal covers {}..{}, expected from {}", seal.first, seal.last, chain_end_));
      if (seal.last < seal.first || seal.last >= at) return Nothing{};
    } else if (seal.previous != chain_) {
      Problem(at, "the seal does not follow the one before");
    }
    Result<Sha256Digest> hash = reader_.HashGroup(seal.previous, seal.first, seal.last);
    if (!hash && hash.error().code != Code::kNotFound) return std::unexpected(std::move(hash).error());
    if (!hash || *hash != seal.hash) Problem(seal.first, fmt::format("the hash over {}..{} is not the sealed one", seal.first, seal.last));
    chain_ = seal.hash;
    chain_end_ = seal.last + 1;
    return Nothing{};
  }

  // After the end all is zero, but for one store that a crash may have cut.
  Result<Nothing> CheckRest() {
    TRY(std::vector<fs::path> files, SegmentFiles(folder_));
    for (const fs::path& file : files) {
      TRY(std::unique_ptr<Segment> segment, Segment::Open(file, false));
      Record record;
      for (std::uint64_t at = std::max(end_, segment->first()); at < segment->end(); ++at) {
        SlotState state = segment->Read(at, record);
        if (state == SlotState::kEmpty) continue;
        if (state == SlotState::kTorn && at == end_) report_.torn_end = true;
        else if (state == SlotState::kTorn) Problem(at, "bytes in a place that was never written");
      }
    }
    return Nothing{};
  }

  const fs::path folder_;
  const bool growing_;  // a server is adding records
  SegmentReader reader_;
  VerifyReport report_;
  std::set<RequestId> open_;
  std::uint64_t begin_ = 0, end_ = 0, chain_end_ = 0, epoch_ = 0;
  Sha256Digest chain_{};
};

Result<Nothing> NeedLedger(const fs::path& state_folder) {
  std::error_code error;
  if (fs::is_directory(LedgerFolder(state_folder), error)) return Nothing{};
  return Error(Code::kNotFound, fmt::format("there is no ledger in {}", state_folder.string()), "no_ledger");
}

}  // namespace

Result<VerifyReport> VerifyLedger(const fs::path& state_folder, const Progress& progress) {
  TRY_DO(NeedLedger(state_folder));
  return Verifier(LedgerFolder(state_folder), InUse(state_folder)).Run(progress);
}

Result<RebuildReport> RebuildProjection(const fs::path& state_folder, const Progress& progress) {
  TRY_DO(NeedLedger(state_folder));
  TRY(StateLock lock, StateLock::Acquire(state_folder));
  TRY(Database database, Database::Open(DatabaseFile(state_folder)));
  TRY_DO(Migrate(database));
  TRY(Projection projection, Projection::Open(database, LedgerFolder(state_folder)));
  SegmentReader reader(LedgerFolder(state_folder));
  TRY(std::uint64_t end, reader.End());
  RebuildReport report;
  // First what the old projection lacks, so that the two sums are over the same records.
  TRY_DO(projection.CatchUp(end));
  TRY(report.before, projection.Sum());
  std::uint64_t skipped_before = projection.skipped();
  TRY_DO(projection.Clear());
  TRY_DO(projection.CatchUp(end, [&](std::uint64_t done) {
    if (progress) progress(done, end);
  }));
  TRY(report.after, projection.Sum());
  report.skipped = projection.skipped() - skipped_before;
  return report;
}

}  // namespace nereid::store

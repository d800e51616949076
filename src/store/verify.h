// Checks and repairs from outside a running server: what `nereid ledger` does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "store/projection.h"

namespace nereid::store {

struct VerifyReport {
  std::uint64_t records = 0, reserves = 0, settlements = 0, seals = 0;
  std::uint64_t open = 0;             // reservations without a settlement: in flight, or left by a crash until the next start
  std::uint64_t unsealed = 0;         // records after the last seal, held only by their own checksums
  bool torn_end = false;              // a crash cut the last store; nobody was told that it is kept
  std::vector<std::string> problems;  // the first kProblemsMax, in the order of the ledger; empty: all is well
};
inline constexpr std::size_t kProblemsMax = 20;

using Progress = std::function<void(std::uint64_t done, std::uint64_t all)>;

// Reads every record: checksums, sequence, the hash chain, and that each settlement has its reservation. Only reads; a server may be
// running, then the records that it adds meanwhile are not looked at. An error means that the check itself could not be done.
Result<VerifyReport> VerifyLedger(const std::filesystem::path& state_folder, const Progress& progress);

struct RebuildReport {
  Totals before, after;
  std::uint64_t skipped = 0;  // damaged or missing records
};
// Drops the projection and makes it anew. kConflict while a server runs on the folder.
Result<RebuildReport> RebuildProjection(const std::filesystem::path& state_folder, const Progress& progress);

}  // namespace nereid::store

// Reads ledger records by their sequence, whatever file they are in. Sees what another thread or process stored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "base/sha256.h"
#include "base/status.h"
#include "store/segment.h"

namespace nereid::store {

class SegmentReader {
 public:
  explicit SegmentReader(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // kNotFound when no file holds it. One thread at a time.
  Result<SlotState> Read(std::uint64_t sequence, Record& out);
  // SHA-256 over `previous` and the bytes of the records first..last.
  Result<Sha256Digest> HashGroup(const Sha256Digest& previous, std::uint64_t first, std::uint64_t last);
  // First sequence of any file; 0 when there is none.
  Result<std::uint64_t> Begin() const;
  // Sequence after the last record of any file that was ever finished (damaged ones too); what follows is empty or torn.
  Result<std::uint64_t> End();

 private:
  Result<Segment*> Find(std::uint64_t sequence);

  const std::filesystem::path folder_;
  std::unique_ptr<Segment> open_;  // the one read last
};

// Sequence after the last finished record in `segment`; nothing when it has none.
std::optional<std::uint64_t> UsedEnd(const Segment& segment);

}  // namespace nereid::store

#include "store/segment_reader.h"

#include <algorithm>

#include <fmt/format.h>

namespace nereid::store {

std::optional<std::uint64_t> UsedEnd(const Segment& segment) {
  Record record;
  for (std::uint64_t end = segment.end(); end > segment.first(); --end) {
    SlotState state = segment.Read(end - 1, record);
    if (state == SlotState::kValid || state == SlotState::kDamaged) return end;
  }
  return std::nullopt;
}

Result<Segment*> SegmentReader::Find(std::uint64_t sequence) {
  if (open_ && open_->Holds(sequence)) return open_.get();
  TRY(std::vector<std::filesystem::path> files, SegmentFiles(folder_));
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    TRY(std::unique_ptr<Segment> segment, Segment::Open(*file, false));
    if (segment->first() > sequence) continue;
    if (!segment->Holds(sequence)) break;
    open_ = std::move(segment);
    return open_.get();
  }
  return Error(Code::kNotFound, fmt::format("ledger: no file holds record {}", sequence), "ledger_missing");
}

Result<SlotState> SegmentReader::Read(std::uint64_t sequence, Record& out) {
  TRY(Segment * segment, Find(sequence));
  return segment->Read(sequence, out);
}

Result<Sha256Digest> SegmentReader::HashGroup(const Sha256Digest& previous, std::uint64_t first, std::uint64_t last) {
  Sha256Stream stream;
  stream.Add({reinterpret_cast<const char*>(previous.data()), previous.size()});
  for (std::uint64_t sequence = first; sequence <= last;) {
    TRY(Segment * segment, Find(sequence));
    std::uint64_t end = std::min(last + 1, segment->end());
    stream.Add(segment->Bytes(sequence, end - sequence));
    segment->ReleasePages();
    sequence = end;
  }
  return stream.Finish();
}

Result<std::uint64_t> SegmentReader::Begin() const {
  TRY(std::vector<std::filesystem::path> files, SegmentFiles(folder_));
  if (files.empty()) return std::uint64_t{0};
  TRY(std::unique_ptr<Segment> segment, Segment::Open(files.front(), false));
  return segment->first();
}

Result<std::uint64_t> SegmentReader::End() {
  TRY(std::vector<std::filesystem::path> files, SegmentFiles(folder_));
  std::uint64_t begin = 0;
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    TRY(std::unique_ptr<Segment> segment, Segment::Open(*file, false));
    if (std::optional<std::uint64_t> end = UsedEnd(*segment)) return *end;
    begin = segment->first();
  }
  return begin;
}

}  // namespace nereid::store

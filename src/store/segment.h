// One preallocated ledger file, mapped shared: a store into it survives kill -9 without a system call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/record.h"

namespace nereid::store {

class Segment {
 public:
  // A new file with room for `bytes` of records, the first of them `first`. Its blocks are allocated: a full disk fails here, with
  // kUnavailable, and never at a store. Complete or absent after a crash.
  static Result<std::unique_ptr<Segment>> Create(const std::filesystem::path& folder, std::uint64_t first, std::uint64_t bytes);
  static Result<std::unique_ptr<Segment>> Open(const std::filesystem::path& file, bool writable);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  std::uint64_t first() const { return first_; }
  std::uint64_t slots() const { return slots_; }
  std::uint64_t end() const { return first_ + slots_; }  // sequence after its last slot
  const std::filesystem::path& file() const { return file_; }
  bool Holds(std::uint64_t sequence) const { return sequence >= first_ && sequence < end(); }

  // `sequence` must be held. Stores of different sequences may run at once.
  void Store(const Record& record);
  SlotState Read(std::uint64_t sequence, Record& out) const { return Inspect(At(sequence), sequence, out); }
  // Of the `count` records from `sequence` on, which are held.
  std::string_view Bytes(std::uint64_t sequence, std::uint64_t count) const { return {At(sequence), count * kRecordBytes}; }
  void Erase(std::uint64_t sequence);
  // Makes the pages of the next `count` slots writable ahead of time, so that a store does not fault. Best effort.
  void Prefault(std::uint64_t sequence, std::uint64_t count);
  // Takes the file's pages out of this process's resident memory; what was stored stays in the file. At once, this is cheaper than what
  // a sync does with mapped pages: it write-protects them one by one, and interrupts the other cores for each.
  void ReleasePages();
  Result<Nothing> Sync();

 private:
  Segment(std::filesystem::path file, int descriptor, char* data, std::uint64_t first, std::uint64_t slots)
      : file_(std::move(file)), descriptor_(descriptor), data_(data), first_(first), slots_(slots) {}
  char* At(std::uint64_t sequence) const { return data_ + (sequence - first_) * kRecordBytes; }

  const std::filesystem::path file_;
  const int descriptor_;
  char* const data_;
  const std::uint64_t first_, slots_;
};

// The segment files of a ledger folder, by their first sequence. kInternal names one whose name is not of the form.
Result<std::vector<std::filesystem::path>> SegmentFiles(const std::filesystem::path& folder);

}  // namespace nereid::store

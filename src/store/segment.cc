#include "store/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace nereid::store {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kNameDigits = 12;

std::unexpected<Status> Failed(std::string_view what, const fs::path& file, int error) {
  Code code = error == ENOSPC || error == EDQUOT ? Code::kUnavailable : Code::kInternal;
  return Error(code, fmt::format("ledger: cannot {} {}: {}", what, file.string(), std::strerror(error)), "ledger_file");
}

std::optional<std::uint64_t> FirstOf(const fs::path& file) {
  std::string stem = file.stem().string();
  std::uint64_t first = 0;
  auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), first);
  if (stem.size() < kNameDigits || error != std::errc{} || end != stem.data() + stem.size()) return std::nullopt;
  return first;
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int Release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

}  // namespace

Result<std::unique_ptr<Segment>> Segment::Create(const fs::path& folder, std::uint64_t first, std::uint64_t bytes) {
  fs::path file = folder / fmt::format("{:0{}}.seg", first, kNameDigits), unfinished = file;
  unfinished += ".tmp";
  bytes = std::max<std::uint64_t>(bytes / kRecordBytes, 16) * kRecordBytes;
  {
    Descriptor made(::open(unfinished.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (made.get() < 0) return Failed("create", unfinished, errno);
    if (int error = ::posix_fallocate(made.get(), 0, static_cast<off_t>(bytes)); error != 0) {
      ::unlink(unfinished.c_str());
      return Failed("allocate", unfinished, error);
    }
    if (::fsync(made.get()) != 0) return Failed("sync", unfinished, errno);
  }
  if (::rename(unfinished.c_str(), file.c_str()) != 0) return Failed("name", file, errno);
  Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() < 0 || ::fsync(parent.get()) != 0) return Failed("sync", folder, errno);
  return Open(file, true);
}

Result<std::unique_ptr<Segment>> Segment::Open(const fs::path& file, bool writable) {
  std::optional<std::uint64_t> first = FirstOf(file);
  if (!first) return Error(Code::kInternal, fmt::format("ledger: {} is not a segment's name", file.string()), "ledger_file");
  Descriptor opened(::open(file.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (opened.get() < 0) return Failed("open", file, errno);
  struct stat about{};
  if (::fstat(opened.get(), &about) != 0) return Failed("read", file, errno);
  auto size = static_cast<std::uint64_t>(about.st_size);
  if (size == 0 || size % kRecordBytes != 0) {
    return Error(Code::kInternal, fmt::format("ledger: {} has {} bytes, which is no whole number of records", file.string(), size),
                 "ledger_file");
  }
  void* data = ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, opened.get(), 0);
  if (data == MAP_FAILED) return Failed("map", file, errno);
  return std::unique_ptr<Segment>(new Segment(file, opened.Release(), static_cast<char*>(data), *first, size / kRecordBytes));
}

Segment::~Segment() {
  ::munmap(data_, slots_ * kRecordBytes);
  ::close(descriptor_);
}

void Segment::Store(const Record& record) {
  char* at = At(record.sequence);
  std::memcpy(at + 8, reinterpret_cast<const char*>(&record) + 8, kRecordBytes - 8);
  std::uint64_t head;
  std::memcpy(&head, &record, sizeof(head));
  // The head makes the record valid, so it goes last.
  std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(at)).store(head, std::memory_order_release);
}

void Segment::Erase(std::uint64_t sequence) {
  std::memset(At(sequence), 0, kRecordBytes);
}

void Segment::Prefault(std::uint64_t sequence, std::uint64_t count) {
#ifdef MADV_POPULATE_WRITE
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t begin = (sequence - first_) * kRecordBytes / page * page;
  std::uint64_t end = std::min(slots_, sequence - first_ + count) * kRecordBytes;
  if (begin < end) ::madvise(data_ + begin, end - begin, MADV_POPULATE_WRITE);
#else
  (void)sequence, (void)count;
#endif
}

void Segment::ReleasePages() {
  ::madvise(data_, slots_ * kRecordBytes, MADV_DONTNEED);
}

Result<Nothing> Segment::Sync() {
  if (::fdatasync(descriptor_) != 0) return Failed("sync", file_, errno);
  return Nothing{};
}

Result<std::vector<fs::path>> SegmentFiles(const fs::path& folder) {
  std::vector<std::pair<std::uint64_t, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() != ".seg") continue;
    std::optional<std::uint64_t> first = FirstOf(entry->path());
    if (!first) return Error(Code::kInternal, fmt::format("ledger: {} is not a segment's name", entry->path().string()), "ledger_file");
    found.emplace_back(*first, entry->path());
  }
  if (error) return Failed("list", folder, error.value());
  std::sort(found.begin(), found.end());
  std::vector<fs::path> files;
  for (auto& [first, file] : found) files.push_back(std::move(file));
  return files;
}

}  // namespace nereid::store

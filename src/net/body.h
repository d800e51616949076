// Request bodies in memory: aligned, padded, counted against a bound for the whole server, decoded from chunks and compression.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include <zlib.h>

#include "net/exchange.h"

namespace nereid::net {

// A declared length alone takes no memory: of what has come so many times may be taken ahead.
inline constexpr std::size_t kAheadGrowth = 32;
// So many bytes are worth memory of their own, where whoever reads them has some.
inline constexpr std::size_t kApartMin = 64 << 10;

// Bytes that all buffered bodies of the server may take together. Any thread.
class ByteBudget {
 public:
  explicit ByteBudget(std::uint64_t limit) : left_(static_cast<std::int64_t>(limit)) {}
  bool Take(std::uint64_t bytes) {
    if (left_.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed) >= static_cast<std::int64_t>(bytes)) return true;
    Give(bytes);
    return false;
  }
  void Give(std::uint64_t bytes) { left_.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> left_;
};

// Some of the budget, until it goes.
class BudgetShare {
 public:
  BudgetShare() = default;
  BudgetShare(BudgetShare&& other) noexcept = default;
  BudgetShare& operator=(BudgetShare&& other) noexcept {
    Return();
    budget_ = std::move(other.budget_);
    bytes_ = other.bytes_;
    return *this;
  }
  ~BudgetShare() { Return(); }

  // Whether it could be had; a null budget has no end.
  bool Take(std::shared_ptr<ByteBudget> budget, std::uint64_t bytes) {
    Return();
    if (budget && !budget->Take(bytes)) return false;
    budget_ = std::move(budget);
    bytes_ = bytes;
    return true;
  }
  void Return() {
    if (auto budget = std::exchange(budget_, nullptr)) budget->Give(bytes_);
  }

 private:
  std::shared_ptr<ByteBudget> budget_;
  std::uint64_t bytes_ = 0;
};

// 64-byte aligned, 64 zeroed bytes past the end once finished.
class BodyBuffer {
 public:
  static constexpr std::size_t kAlignment = 64, kPadding = 64;

  // kTooLarge past `limit`, kUnavailable when the server's budget is used up.
  // It is the byte at `aligned_at` that is aligned.
  BodyBuffer(std::shared_ptr<ByteBudget> budget, std::uint64_t limit, std::size_t aligned_at = 0)
      : budget_(std::move(budget)), limit_(limit), lead_((kAlignment - aligned_at % kAlignment) % kAlignment) {}
  BodyBuffer(BodyBuffer&& other) noexcept;
  BodyBuffer& operator=(BodyBuffer&&) = delete;
  ~BodyBuffer();

  Result<Nothing> Reserve(std::size_t capacity);
  Result<Nothing> Append(std::string_view bytes);
  // Room to receive into, at least one byte after a successful Reserve; Commit says how much was used.
  char* room() { return data_ + size_; }
  std::size_t room_bytes() const { return capacity_ - size_; }
  void Commit(std::size_t bytes) { size_ += bytes; }
  // Takes out `bytes` from `at` on.
  void Erase(std::size_t at, std::size_t bytes);
  std::size_t size() const { return size_; }
  std::string_view view() const { return {data_, size_}; }

  // The finished body; the buffer is empty afterwards.
  Body Finish();

 private:
  std::shared_ptr<ByteBudget> budget_;
  std::uint64_t limit_;
  std::size_t lead_;  // bytes of the allocation before data_
  char* data_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

// Takes chunked framing apart, any split. At most 65536 non-empty chunks, as Triton.
class ChunkDecoder {
 public:
  static constexpr int kChunksMax = 65536;
  struct Step {
    std::string_view data;     // a piece of the body within the input, perhaps empty
    std::size_t consumed = 0;  // of the input, data included
    bool done = false;         // the last chunk and its trailers are through
  };
  // Call again with the rest while consumed > 0 and not done. Errors are kInvalidArgument: the connection must close.
  Result<Step> Next(std::string_view input);
  void LimitChunks(int most) { chunks_max_ = most; }

 private:
  enum class State : std::uint8_t { kSize, kExtension, kSizeEnd, kData, kDataEnd, kDataEndLf, kTrailerStart, kTrailer, kTrailerLf, kEndLf };
  State state_ = State::kSize;
  std::uint64_t left_ = 0;
  int digits_ = 0, chunks_ = 0, chunks_max_ = kChunksMax, line_bytes_ = 0;
};

enum class Encoding : std::uint8_t { kIdentity, kGzip, kDeflate };
std::string_view EncodingName(Encoding encoding);

// Decodes gzip or deflate into `out`, whose limit bounds the result. kInvalidArgument for corrupt input.
Result<Nothing> Inflate(Encoding encoding, std::string_view input, BodyBuffer& out);

// What to answer with: the highest q of gzip, deflate and identity; the first wins on a tie; q=0 excludes.
Encoding ChooseEncoding(std::string_view accept_encoding);
// The pieces compressed as one body.
std::string Deflate(Encoding encoding, std::span<const std::string_view> pieces);

}  // namespace nereid::net

#include "net/body.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "net/http_head.h"

namespace nereid::net {
namespace {

constexpr int kChunkLineMax = 4096;

std::unexpected<Status> BadChunk(std::string_view why) {
  return Error(Code::kInvalidArgument, std::string(why), "bad_chunk");
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

BodyBuffer::BodyBuffer(BodyBuffer&& other) noexcept
    : budget_(std::move(other.budget_)),
      limit_(other.limit_),
      lead_(other.lead_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

BodyBuffer::~BodyBuffer() {
  if (!data_) return;
  std::free(data_ - lead_);
  if (budget_) budget_->Give(capacity_);
}

Result<Nothing> BodyBuffer::Reserve(std::size_t capacity) {
  if (capacity <= capacity_) return Nothing{};
  if (capacity > limit_)
    return Error(Code::kTooLarge, fmt::format("the body is larger than the {} bytes that are accepted here", limit_), "body_too_large");
  if (budget_ && !budget_->Take(capacity - capacity_))
    return Error(Code::kUnavailable, "the server holds as many request bodies as it may; try again", "bodies_full");
  std::size_t rounded = (lead_ + capacity + kPadding + kAlignment - 1) / kAlignment * kAlignment;
  auto* data = static_cast<char*>(std::aligned_alloc(kAlignment, rounded));
  if (!data) {
    if (budget_) budget_->Give(capacity - capacity_);
    return Error(Code::kUnavailable, "out of memory for a request body", "out_of_memory");
  }
  data += lead_;
  if (size_ > 0) std::memcpy(data, data_, size_);
  if (data_) std::free(data_ - lead_);
  data_ = data;
  capacity_ = capacity;
  return Nothing{};
}

Result<Nothing> BodyBuffer::Append(std::string_view bytes) {
  if (bytes.empty()) return Nothing{};
  if (bytes.size() > room_bytes()) {
    std::size_t want = size_ + bytes.size();
    if (want > limit_) return Reserve(want);  // says kTooLarge
    TRY_DO(Reserve(std::min<std::size_t>(limit_, std::max(want, std::max<std::size_t>(4096, capacity_ * 2)))));
  }
  std::memcpy(data_ + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
  return Nothing{};
}

void BodyBuffer::Erase(std::size_t at, std::size_t bytes) {
  if (bytes == 0) return;
  std::memmove(data_ + at, data_ + at + bytes, size_ - at - bytes);
  size_ -= bytes;
}

Body BodyBuffer::Finish() {
  if (!data_) {
    static const char kNone[kPadding] = {};
    return Body{nullptr, kNone, 0};
  }
  std::memset(data_ + size_, 0, kPadding);
  struct Owner {
    char* allocation;
    std::size_t charged;
    std::shared_ptr<ByteBudget> budget;
    Owner(char* a, std::size_t c, std::shared_ptr<ByteBudget> b) : allocation(a), charged(c), budget(std::move(b)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() {
      std::free(allocation);
      if (budget) budget->Give(charged);
    }
  };
  auto owner = std::make_shared<Owner>(data_ - lead_, capacity_, std::move(budget_));
  Body body{owner, data_, size_};
  data_ = nullptr;
  size_ = capacity_ = 0;
  return body;
}

Result<ChunkDecoder::Step> ChunkDecoder::Next(std::string_view input) {
  std::size_t i = 0;
  while (i < input.size()) {
    char c = input[i];
    if (state_ != State::kData && ++line_bytes_ > kChunkLineMax) return BadChunk("a chunk line is too long");
    switch (state_) {
      case State::kSize: {
        int digit = HexDigit(c);
        if (digit >= 0) {
          if (++digits_ > 15) return BadChunk("a chunk size is too large");
          left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
        } else if (digits_ > 0 && (c == ';' || c == ' ' || c == '\t')) {
          state_ = State::kExtension;
        } else if (digits_ > 0 && c == '\r') {
          state_ = State::kSizeEnd;
        } else {
          return BadChunk("a chunk size is not a hexadecimal number");
        }
        ++i;
        break;
      }
      case State::kExtension:
        if (c == '\r') state_ = State::kSizeEnd;
        else if (c == '\n') return BadChunk("a chunk line ends without CR");
        ++i;
        break;
      case State::kSizeEnd:
        if (c != '\n') return BadChunk("a chunk line does not end with CR LF");
        ++i;
        line_bytes_ = 0;
        digits_ = 0;
        if (left_ == 0) {
          state_ = State::kTrailerStart;
        } else {
          if (++chunks_ > chunks_max_)
            return BadChunk(
                fmt::format("Chunked request body exceeds maximum of {} non-empty chunks. Send fewer or larger HTTP chunks.", kChunksMax));
          state_ = State::kData;
        }
        break;
      case State::kData: {
        std::size_t take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - i));
        left_ -= take;
        if (left_ == 0) state_ = State::kDataEnd;
        return Step{input.substr(i, take), i + take, false};
      }
      case State::kDataEnd:
        if (c != '\r') return BadChunk("a chunk is longer than its size says");
        state_ = State::kDataEndLf;
        ++i;
        break;
      case State::kDataEndLf:
        if (c != '\n') return BadChunk("a chunk does not end with CR LF");
        state_ = State::kSize;
        line_bytes_ = 0;
        ++i;
        break;
      case State::kTrailerStart:
        state_ = c == '\r' ? State::kEndLf : State::kTrailer;
        if (c == '\n') return BadChunk("a trailer line ends without CR");
        ++i;
        break;
      case State::kTrailer:  // trailers are read over: nothing here uses them
        if (c == '\r') state_ = State::kTrailerLf;
        else if (c == '\n') return BadChunk("a trailer line ends without CR");
        ++i;
        break;
      case State::kTrailerLf:
        if (c != '\n') return BadChunk("a trailer line does not end with CR LF");
        state_ = State::kTrailerStart;
        ++i;
        break;
      case State::kEndLf:
        if (c != '\n') return BadChunk("the chunked body does not end with CR LF");
        return Step{{}, i + 1, true};
    }
  }
  return Step{{}, i, false};
}

std::string_view EncodingName(Encoding encoding) {
  switch (encoding) {
    case Encoding::kIdentity: return "identity";
    case Encoding::kGzip: return "gzip";
    case Encoding::kDeflate: return "deflate";
  }
  return "identity";
}

Result<Nothing> Inflate(Encoding encoding, std::string_view input, BodyBuffer& out) {
  z_stream stream{};
  NEREID_CHECK(::inflateInit2(&stream, encoding == Encoding::kGzip ? 15 + 16 : 15) == Z_OK);
  struct End {
    z_stream& stream;
    ~End() { ::inflateEnd(&stream); }
  } end{stream};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  std::size_t left = input.size();
  char room[16384];
  int result = Z_OK;
  while (result != Z_STREAM_END) {
    if (stream.avail_in == 0 && left > 0) {
      stream.avail_in = static_cast<uInt>(std::min<std::size_t>(left, 1 << 30));
      left -= stream.avail_in;
    }
    stream.next_out = reinterpret_cast<Bytef*>(room);
    stream.avail_out = sizeof room;
    result = ::inflate(&stream, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END)
      return Error(Code::kInvalidArgument, fmt::format("the {} body is corrupt or cut", EncodingName(encoding)), "bad_compression");
    TRY_DO(out.Append(std::string_view(room, sizeof room - stream.avail_out)));
  }
  return Nothing{};
}

Encoding ChooseEncoding(std::string_view accept) {
  Encoding best = Encoding::kIdentity;
  double best_q = -1;
  while (!accept.empty()) {
    std::size_t comma = accept.find(',');
    std::string_view item = accept.substr(0, comma);
    accept = comma == std::string_view::npos ? std::string_view() : accept.substr(comma + 1);
    double q = 1;
    if (std::size_t semicolon = item.find(';'); semicolon != std::string_view::npos) {
      std::string_view parameter = item.substr(semicolon + 1);
      item = item.substr(0, semicolon);
      if (std::size_t equals = parameter.find("q="); equals != std::string_view::npos)
        q = std::strtod(std::string(parameter.substr(equals + 2)).c_str(), nullptr);
    }
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    std::optional<Encoding> encoding;
    if (item == "gzip") encoding = Encoding::kGzip;
    else if (item == "deflate") encoding = Encoding::kDeflate;
    else if (item == "identity") encoding = Encoding::kIdentity;
    if (encoding && q > 0 && q > best_q) {
      best = *encoding;
      best_q = q;
    }
  }
  return best;
}

std::string Deflate(Encoding encoding, std::span<const std::string_view> pieces) {
  z_stream stream{};
  NEREID_CHECK(::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, encoding == Encoding::kGzip ? 15 + 16 : 15, 8,
                              Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out;
  char room[16384];
  for (std::size_t i = 0; i <= pieces.size(); ++i) {
    bool last = i == pieces.size();
    std::string_view piece = last ? std::string_view() : pieces[i];
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    stream.avail_in = static_cast<uInt>(piece.size());
    do {
      stream.next_out = reinterpret_cast<Bytef*>(room);
      stream.avail_out = sizeof room;
      ::deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH);
      out.append(room, sizeof room - stream.avail_out);
    } while (stream.avail_out == 0);
  }
  ::deflateEnd(&stream);
  return out;
}

}  // namespace nereid::net

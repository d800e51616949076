#include "grpc/framing.h"

#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace nereid::grpc_front {
namespace {

// With what may be taken ahead, a megabyte is whole after the first read, and little is copied on the way to a longer message.
constexpr std::size_t kFirstBytes = 4 << 10;

// What does not fit is RESOURCE_EXHAUSTED, whatever bound it met.
Result<Nothing> Fits(Result<Nothing> reserved) {
  if (!reserved) return Error(Code::kTooLarge, std::move(reserved).error().message, "message_too_large");
  return reserved;
}

}  // namespace

std::size_t Message::size() const {
  std::size_t sum = 0;
  for (const net::Piece& piece : pieces) sum += piece.bytes.size();
  return sum;
}

void WritePrefix(char* to, bool compressed, std::size_t length) {
  to[0] = compressed ? 1 : 0;
  for (int i = 1; i <= 4; ++i) to[i] = static_cast<char>(length >> (32 - 8 * i));
}

Message WholeMessage(std::string text) {
  WritePrefix(text.data(), false, text.size() - kPrefixBytes);
  Message message;
  message.pieces.push_back(net::Piece::Own(std::move(text)));
  return message;
}

Message Compressed(Message message, net::Encoding encoding) {
  std::vector<std::string_view> content;
  std::size_t skip = kPrefixBytes, size = 0;
  for (const net::Piece& piece : message.pieces) {
    content.push_back(piece.bytes.substr(skip));
    size += content.back().size();
    skip = 0;
  }
  std::string packed = net::Deflate(encoding, content);
  if (packed.size() >= size) return message;
  std::string prefix(kPrefixBytes, '\0');
  WritePrefix(prefix.data(), true, packed.size());
  message.pieces.clear();
  message.pieces.push_back(net::Piece::Own(std::move(prefix)));
  message.pieces.push_back(net::Piece::Own(std::move(packed)));
  return message;
}

Result<std::optional<Received>> MessageReader::Next(std::string_view& bytes) {
  while (!bytes.empty()) {
    if (!body_) {
      std::size_t part = std::min(kPrefixBytes - prefix_bytes_, bytes.size());
      std::memcpy(prefix_ + prefix_bytes_, bytes.data(), part);
      prefix_bytes_ += part;
      bytes.remove_prefix(part);
      if (prefix_bytes_ < kPrefixBytes) break;
      TRY_DO(Begin(bytes.size()));
    }
    TRY_DO(Add(bytes));
    if (came_ == length_) return Finish();
  }
  return std::nullopt;
}

Result<Nothing> MessageReader::Begin(std::size_t here) {
  length_ = 0;
  for (int i = 1; i <= 4; ++i) length_ = length_ << 8 | prefix_[i];
  if (prefix_[0] > 1 || (prefix_[0] == 1 && encoding_ == net::Encoding::kIdentity))
    return Error(Code::kInternal, "a message says that it is compressed, the call does not say how", "bad_frame");
  if (length_ > kMessageBytesMax)
    return Error(Code::kTooLarge, fmt::format("a message of {} bytes is longer than gRPC's limit of {}", length_, kMessageBytesMax),
                 "message_too_large");
  body_.emplace(budget_, kMessageBytesMax, prefix_[0] ? 0 : length_);
  came_ = 0;
  splitting_ = splitter_ && !prefix_[0] && splitter_->Begin(length_);
  return ReserveFor(splitting_ ? 0 : here);
}

Result<Nothing> MessageReader::ReserveFor(std::size_t bytes) {
  return Fits(body_->Reserve(std::min(length_, std::max(kFirstBytes, bytes * net::kAheadGrowth))));
}

Result<Nothing> MessageReader::Add(std::string_view& bytes) {
  std::string_view rest = bytes.substr(0, length_ - came_), part = rest;
  if (part_.memory) {
    part = rest.substr(0, part_.bytes - part_filled_);
    AddToPart(part);
  } else {
    if (splitting_) part = rest.substr(0, kFirstBytes);  // more would be copied twice if it belongs elsewhere
    if (part.size() > body_->room_bytes()) TRY_DO(ReserveFor(body_->size() + rest.size()));
    if (!part.empty() && part.data() != body_->room()) std::memmove(body_->room(), part.data(), part.size());  // may come from within Room
    body_->Commit(part.size());
    Split(came_ + rest.size());
  }
  came_ += part.size();
  bytes.remove_prefix(part.size());
  return Nothing{};
}

void MessageReader::AddToPart(std::string_view bytes) {
  char* to = part_.memory.get() + part_filled_;
  if (bytes.data() != to) std::memmove(to, bytes.data(), bytes.size());
  part_filled_ += bytes.size();
  if (part_filled_ < part_.bytes) return;
  const char* data = part_.memory.get();
  apart_.push_back({part_.at, Bytes(std::move(part_.memory), data, part_.bytes)});
  part_ = {};
}

void MessageReader::Split(std::size_t came) {
  while (splitting_ && !part_.memory) {
    Splitter::Part part;
    Splitter::Found found = splitter_->Look(body_->view(), came, part);
    if (found == Splitter::Found::kMore) return;
    std::size_t before = part.at;
    for (const Received::Apart& earlier : apart_) before += earlier.bytes.size();
    net::BudgetShare share;
    if (found == Splitter::Found::kNothing || part.bytes > length_ - before || !share.Take(budget_, part.bytes)) {
      splitting_ = false;
      return;
    }
    shares_.push_back(std::move(share));
    std::string_view here = body_->view().substr(part.at, part.bytes);
    const std::size_t at = part.at;
    part_ = std::move(part);
    part_filled_ = 0;
    AddToPart(here);
    body_->Erase(at, here.size());
  }
}

std::span<char> MessageReader::Room() {
  if (!body_) return {};
  if (part_.memory) return {part_.memory.get() + part_filled_, part_.bytes - part_filled_};
  return {body_->room(), std::min(body_->room_bytes(), length_ - came_)};
}

Result<Received> MessageReader::Finish() {
  net::BodyBuffer body = *std::move(body_);
  body_.reset();
  prefix_bytes_ = 0;
  shares_.clear();
  if (prefix_[0] == 1) {
    net::BodyBuffer plain(budget_, kMessageBytesMax);
    if (auto inflated = net::Inflate(encoding_, body.view(), plain); !inflated)
      return std::unexpected(inflated.error().code == Code::kInvalidArgument ? std::move(inflated).error() : Fits(inflated).error());
    net::Body whole = plain.Finish();
    return Received(Bytes(whole.owner, whole.data, whole.size));
  }
  net::Body whole = body.Finish();
  Received message(Bytes(whole.owner, whole.data, whole.size));
  message.apart = std::exchange(apart_, {});
  return message;
}

std::optional<Nanos> ParseTimeout(std::string_view text) {
  constexpr std::size_t kDigitsMax = 8;
  constexpr auto kHoursMax = std::chrono::duration_cast<std::chrono::hours>(Nanos::max());  // fewer than eight digits
  if (text.size() < 2 || text.size() > kDigitsMax + 1) return std::nullopt;
  std::int64_t count = 0;
  std::string_view digits = text.substr(0, text.size() - 1);
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (error != std::errc{} || end != digits.data() + digits.size() || count < 0) return std::nullopt;
  switch (text.back()) {
    case 'H': return std::min(std::chrono::hours(count), kHoursMax);
    case 'M': return std::chrono::minutes(count);
    case 'S': return std::chrono::seconds(count);
    case 'm': return Millis(count);
    case 'u': return Micros(count);
    case 'n': return Nanos(count);
    default: return std::nullopt;
  }
}

std::optional<net::Encoding> ParseEncoding(std::string_view name) {
  if (name.empty() || name == "identity") return net::Encoding::kIdentity;
  if (name == "gzip") return net::Encoding::kGzip;
  if (name == "deflate") return net::Encoding::kDeflate;
  return std::nullopt;
}

std::string PercentEncode(std::string_view text) {
  std::string out;
  std::size_t character = 0;  // where the last UTF-8 character begins in `out`
  for (char c : text) {
    if ((c & 0xC0) != 0x80) character = out.size();
    if (c >= ' ' && c <= '~' && c != '%') out += c;
    else fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    if (out.size() > kStatusTextMax) return out.substr(0, character) + " ... (cut)";
  }
  return out;
}

}  // namespace nereid::grpc_front

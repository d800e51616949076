// How a connection reads the body of a request.
#include <cstring>

#include <fmt/format.h>

#include "net/http_connection.h"

namespace nereid::net {

Awaitable<Stream::Done> HttpConnection::Receive(char* to, std::size_t room, Phase phase, Millis timeout) {
  for (;;) {
    auto done = stream_.Read(to, room);
    if (done.need == Need::kNone) co_return done;
    SetDeadline(phase, timeout);
    bool ready = co_await stream_.socket().Wait(done.need);
    SetDeadline(Phase::kHandling, Millis::max());
    if (!ready) co_return Stream::Done{0, Need::kNone, ECANCELED};
  }
}

Task<Body> HttpConnection::ReadLength(BodyBuffer buffer, std::uint64_t length, BodyTail tail) {
  constexpr std::uint64_t kFirst = 1 << 18;  // a declared length alone does not take memory
  constexpr std::uint64_t kGrowth = 8;       // so that little is copied on the way to a large body
  bool ask = tail.allocate && tail.at < length && length - tail.at >= kApartMin;
  // What has come before goes to it by a copy, and its memory, too, is not for a declared length alone.
  const std::uint64_t ask_at = std::max<std::uint64_t>(tail.at, length / kAheadGrowth);
  CO_TRY_DO(buffer.Reserve(static_cast<std::size_t>(std::min({length, kFirst, ask ? ask_at : kFirst}))));
  std::size_t here = static_cast<std::size_t>(std::min<std::uint64_t>(length, end_ - begin_));
  CO_TRY_DO(buffer.Append(buffered().substr(0, here)));
  begin_ += here;
  while (buffer.size() < length) {
    if (ask && buffer.size() >= ask_at) {
      ask = false;
      std::size_t bytes = static_cast<std::size_t>(length) - tail.at;
      BudgetShare share;
      std::shared_ptr<char> memory = share.Take(host_.budget, bytes) ? tail.allocate(bytes) : nullptr;
      if (memory) co_return co_await ReadTail(std::move(buffer), tail.at, std::move(memory), bytes);
    }
    if (buffer.room_bytes() == 0)
      CO_TRY_DO(buffer.Reserve(static_cast<std::size_t>(std::min<std::uint64_t>(length, buffer.size() * kGrowth))));
    std::uint64_t until = ask ? ask_at : length;
    std::size_t room = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.room_bytes(), until - buffer.size()));
    auto done = co_await Receive(buffer.room(), room, Phase::kBody, host_.options.body_timeout);
    if (done.bytes == 0) {
      Lose();
      co_return Gone();
    }
    buffer.Commit(done.bytes);
  }
  co_return buffer.Finish();
}

Task<Body> HttpConnection::ReadTail(BodyBuffer buffer, std::size_t at, std::shared_ptr<char> memory, std::size_t bytes) {
  std::size_t filled = buffer.size() - at;
  std::memcpy(memory.get(), buffer.view().data() + at, filled);
  buffer.Erase(at, filled);
  while (filled < bytes) {
    auto done = co_await Receive(memory.get() + filled, bytes - filled, Phase::kBody, host_.options.body_timeout);
    if (done.bytes == 0) {
      Lose();
      co_return Gone();
    }
    filled += done.bytes;
  }
  Body body = buffer.Finish();
  body.tail = std::move(memory);
  body.tail_size = bytes;
  co_return body;
}

Task<Nothing> HttpConnection::ReadChunks(BodyBuffer& buffer) {
  ChunkDecoder decoder;
  while (begin_ < end_) {
    CO_TRY(auto step, decoder.Next(buffered()));
    CO_TRY_DO(buffer.Append(step.data));
    begin_ += step.consumed;
    if (step.done) co_return Nothing{};
  }
  // The head's views point into in_, which therefore may not grow: chunks are received elsewhere.
  std::vector<char> received(kReadBytes);
  for (;;) {
    auto done = co_await Receive(received.data(), received.size(), Phase::kBody, host_.options.body_timeout);
    if (done.bytes == 0) {
      Lose();
      co_return Gone();
    }
    std::string_view rest(received.data(), done.bytes);
    while (!rest.empty()) {
      CO_TRY(auto step, decoder.Next(rest));
      CO_TRY_DO(buffer.Append(step.data));
      rest.remove_prefix(step.consumed);
      if (!step.done) continue;
      if (in_.size() - end_ < rest.size()) {  // a pipelined request that has no room here: the client asks again on a new connection
        keep_alive_ = false;
      } else {
        std::memcpy(in_.data() + end_, rest.data(), rest.size());
        end_ += rest.size();
      }
      co_return Nothing{};
    }
  }
}

Task<Body> HttpConnection::ReadBody(std::uint64_t limit, BodyTail tail) {
  NEREID_CHECK(!body_read_);
  std::string_view encoding_text = Header("content-encoding").value_or("");
  Encoding encoding = Encoding::kIdentity;
  if (encoding_text == "gzip") encoding = Encoding::kGzip;
  else if (encoding_text == "deflate") encoding = Encoding::kDeflate;
  else if (!encoding_text.empty() && encoding_text != "identity")
    co_return Error(Code::kUnsupported,
                    fmt::format("Content-Encoding '{}' is not supported; send gzip, deflate or identity", encoding_text),
                    "content_encoding");
  std::uint64_t length = head_.content_length.value_or(0);
  if (length > limit)
    co_return Error(Code::kTooLarge, fmt::format("the body has {} bytes; at most {} are accepted here", length, limit), "body_too_large");
  if (head_.expect_continue && begin_ == end_ && (head_.chunked || length > 0)) {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    iovec piece{const_cast<char*>(kContinue.data()), kContinue.size()};
    CO_TRY_DO(co_await Send({&piece, 1}));
  }
  BodyBuffer buffer(host_.budget, limit, encoding == Encoding::kIdentity ? tail.at : 0);
  Body body;
  if (head_.chunked) {
    auto read = co_await ReadChunks(buffer);
    if (!read) {
      keep_alive_ = false;  // the framing is lost
      co_return std::unexpected(std::move(read).error());
    }
    body = buffer.Finish();
  } else if (length <= end_ - begin_) {
    if (length > 0) CO_TRY_DO(buffer.Reserve(static_cast<std::size_t>(length)));
    CO_TRY_DO(buffer.Append(buffered().substr(0, static_cast<std::size_t>(length))));
    begin_ += static_cast<std::size_t>(length);
    body = buffer.Finish();
  } else {
    if (encoding != Encoding::kIdentity) tail.allocate = nullptr;
    CO_TRY(body, co_await ReadLength(std::move(buffer), length, tail));
  }
  body_read_ = true;
  if (encoding == Encoding::kIdentity) co_return body;
  BodyBuffer decoded(host_.budget, limit, tail.at);
  CO_TRY_DO(Inflate(encoding, body.view(), decoded));
  co_return decoded.Finish();
}

}  // namespace nereid::net

#include "net/http_connection.h"

#include <sys/socket.h>

#include <charconv>
#include <ctime>

#include <fmt/format.h>

namespace nereid::net {
namespace {

constexpr std::size_t kDiscardMax = 64 << 10;  // of a body that nobody wanted, before the connection is closed instead

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return status < 400 ? "OK" : "Error";
  }
}

void AppendNumber(std::string& out, std::uint64_t value) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

}  // namespace

std::unexpected<Status> HttpConnection::Gone() {
  return Error(Code::kCancelled, "the client went away", "disconnected");
}

std::shared_ptr<Connection> HttpLane::Connect(PolledSocket socket, std::string peer_address) {
  return std::make_shared<HttpConnection>(*this, std::move(socket), std::move(peer_address));
}

void HttpLane::Tick() {
  std::time_t now = std::time(nullptr);
  std::tm tm{};
  ::gmtime_r(&now, &tm);
  char text[64];
  date.assign(text, std::strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm));
}

HttpConnection::HttpConnection(HttpLane& lane, PolledSocket socket, std::string peer)
    : lane_(lane), host_(*lane.host), stream_(std::move(socket)), peer_(std::move(peer)), in_(kReadBytes) {
  stream_.socket().OnHangUp([this] { LookForEnd(); });
}

void HttpConnection::SetDeadline(Phase phase, Millis timeout) {
  phase_ = phase;
  deadline_ = timeout == Millis::max() ? SteadyTime::max() : std::chrono::steady_clock::now() + timeout;
}

Task<Nothing> HttpConnection::Run() {
  if (host_.tls) {
    SetDeadline(Phase::kHead, host_.options.head_timeout);
    CO_TRY_DO(co_await stream_.Accept(host_.tls.get()));
  }
  SetDeadline(Phase::kHead, host_.options.head_timeout);  // a fresh connection has to say something soon
  for (;;) {
    auto read = co_await ReadHead();
    if (!read) {
      co_await Refuse(read.error());
      co_await Linger();
      break;
    }
    if (!*read || !co_await Serve()) break;
    SetDeadline(Phase::kIdle, host_.options.idle_timeout);
  }
  stream_.Close();
  co_return Nothing{};
}

Task<bool> HttpConnection::ReadHead() {
  for (;;) {
    CO_TRY(bool whole, TakeHead());
    if (whole) co_return true;
    if (stopped_ && begin_ == end_) {
      // The last look: a request that reached this socket before the drain is answered.
      auto last = stream_.Read(in_.data() + end_, in_.size() - end_);
      if (last.bytes == 0) co_return false;
      end_ += last.bytes;
      continue;
    }
    if (in_.size() - end_ < kReadBytes / 4) in_.resize(in_.size() + kReadBytes);
    Phase phase = begin_ == end_ && phase_ == Phase::kIdle ? Phase::kIdle : Phase::kHead;
    phase_ = phase;
    bool readable = stream_.socket().Ready(Need::kRead) || co_await stream_.socket().Wait(Need::kRead);
    if (!readable && (expired_ || gone_)) co_return false;
    auto done = stream_.Read(in_.data() + end_, in_.size() - end_);
    while (done.need == Need::kWrite) {
      if (!co_await stream_.socket().Wait(done.need)) co_return false;
      done = stream_.Read(in_.data() + end_, in_.size() - end_);
    }
    if (done.need == Need::kRead) {
      if (!readable && !stopped_) co_return false;
      continue;
    }
    if (done.bytes == 0) co_return false;
    if (phase == Phase::kIdle) SetDeadline(Phase::kHead, host_.options.head_timeout);
    end_ += done.bytes;
  }
}

Result<bool> HttpConnection::TakeHead() {
  while (begin_ < end_ && scanned_ == 0 && (in_[begin_] == '\r' || in_[begin_] == '\n'))
    ++begin_;  // RFC 9112 2.2: empty lines before a request
  if (begin_ == end_) {
    begin_ = end_ = scanned_ = 0;
    return false;
  }
  std::size_t size = FindHeadEnd(buffered(), scanned_);
  if (size > host_.options.head.bytes_max || (size == 0 && end_ - begin_ > host_.options.head.bytes_max))
    return Error(Code::kTooLarge, fmt::format("the head is larger than {} bytes", host_.options.head.bytes_max), "head_too_large");
  if (size == 0) {
    if (begin_ > 0) {  // make room at the end; no views are alive
      std::memmove(in_.data(), in_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    return false;
  }
  scanned_ = 0;
  TRY_DO(ParseRequestHead(buffered().substr(0, size), host_.options.head, head_));
  head_bytes_ = size;
  begin_ += size;
  return true;
}

bool HttpConnection::body_pending() const {
  return !body_read_ && (head_.chunked || head_.content_length.value_or(0) > 0);
}

Awaitable<bool> HttpConnection::Serve() {
  arrival_ = std::chrono::steady_clock::now();
  watched_ = false;
  if (std::exchange(used_cancellation_, false)) cancellation_ = Cancellation();
  body_read_ = head_sent_ = chunked_out_ = false;
  answer_ = Answer::kNone;
  left_out_.reset();
  keep_alive_ = head_.keep_alive;
  no_body_ = head_.method == Method::kHead;
  phase_ = Phase::kHandling;
  deadline_ = SteadyTime::max();

  auto result = co_await host_.handler(*this);
  if (gone_ || !stream_.socket().open()) co_return false;
  if (answer_ == Answer::kNone && !head_sent_) {
    keep_alive_ = keep_alive_ && result.has_value();
    result = co_await Exchange::Respond(ResponseHead{500, "text/plain", {}}, "the handler gave no answer\n");
  }
  if (!result || answer_ != Answer::kDone) co_return false;
  if (body_pending()) {
    // What is here already is passed over; more than a little is not worth waiting for.
    std::uint64_t length = head_.content_length.value_or(UINT64_MAX);
    if (head_.chunked || length > end_ - begin_) {
      co_await Linger();
      co_return false;
    }
    begin_ += static_cast<std::size_t>(length);
  }
  co_return keep_alive_ && !(stopped_ && begin_ == end_);
}

Task<Nothing> HttpConnection::Send(std::span<iovec> pieces) {
  Phase before = phase_;
  for (;;) {
    auto done = stream_.WriteAll(pieces);
    if (done.need == Need::kNone && done.error == 0) co_return Nothing{};
    bool ready = false;
    if (done.need != Need::kNone) {
      SetDeadline(Phase::kWriting, host_.options.write_timeout);
      ready = co_await stream_.socket().Wait(done.need);
      phase_ = before;
      deadline_ = SteadyTime::max();
    }
    if (!ready) {
      Lose();
      co_return Gone();
    }
  }
}

void HttpConnection::RenderHead(const ResponseHead& head, std::optional<std::uint64_t> content_length) {
  bool bodiless = head.status == 204 || head.status == 304;
  no_body_ = no_body_ || bodiless;
  chunked_out_ = !content_length && !bodiless && head_.http11;
  if (!content_length && !bodiless && !head_.http11) keep_alive_ = false;  // HTTP/1.0: the end of the connection ends the body
  if (stopped_ && begin_ == end_) keep_alive_ = false;
  if (body_pending() && head_.content_length.value_or(UINT64_MAX) > end_ - begin_) keep_alive_ = false;
  out_.clear();
  out_ += "HTTP/1.1 ";
  AppendNumber(out_, static_cast<std::uint64_t>(head.status));
  out_ += ' ';
  out_ += ReasonPhrase(head.status);
  out_ += "\r\n";
  out_ += lane_.date;
  if (!head.content_type.empty()) {
    out_ += "Content-Type: ";
    out_ += head.content_type;
    out_ += "\r\n";
  }
  out_ += head.headers.text();
  if (content_length && !bodiless) {
    out_ += "Content-Length: ";
    AppendNumber(out_, *content_length);
    out_ += "\r\n";
  } else if (chunked_out_) {
    out_ += "Transfer-Encoding: chunked\r\n";
  }
  if (!keep_alive_) out_ += "Connection: close\r\n";
  else if (!head_.http11) out_ += "Connection: keep-alive\r\n";
  out_ += "\r\n";
}

Task<Nothing> HttpConnection::Respond(ResponseHead head, std::span<const std::string_view> pieces) {
  NEREID_CHECK(answer_ == Answer::kNone);
  std::uint64_t total = 0;
  for (std::string_view piece : pieces) total += piece.size();
  RenderHead(head, total);
  answer_ = Answer::kDone;
  head_sent_ = true;
  constexpr std::size_t kInline = 8;
  iovec few[kInline + 1];
  std::vector<iovec> many;
  iovec* vectors = few;
  if (pieces.size() > kInline) {
    many.resize(pieces.size() + 1);
    vectors = many.data();
  }
  vectors[0] = {out_.data(), out_.size()};
  std::size_t count = 1;
  if (!no_body_) {
    for (std::string_view piece : pieces) vectors[count++] = {const_cast<char*>(piece.data()), piece.size()};
  }
  std::span<iovec> left(vectors, count);
  // Mostly the kernel takes all of it at once.
  if (auto done = stream_.WriteAll(left); left.empty() && done.error == 0) co_return Nothing{};
  co_return co_await Send(left);
}

void HttpConnection::Start(ResponseHead head, std::optional<std::uint64_t> content_length) {
  NEREID_CHECK(answer_ == Answer::kNone);
  left_out_ = content_length;
  RenderHead(head, content_length);
  answer_ = Answer::kHeld;
}

Task<Nothing> HttpConnection::Write(std::string_view bytes) {
  NEREID_CHECK(answer_ == Answer::kHeld || answer_ == Answer::kStarted);
  if (bytes.empty()) co_return Nothing{};
  iovec pieces[4];
  std::size_t count = 0;
  if (answer_ == Answer::kHeld) pieces[count++] = {out_.data(), out_.size()};
  answer_ = Answer::kStarted;
  head_sent_ = true;
  char size[20];
  if (!no_body_) {
    if (chunked_out_) {
      char* end = std::to_chars(size, size + 16, bytes.size(), 16).ptr;
      *end++ = '\r';
      *end++ = '\n';
      pieces[count++] = {size, static_cast<std::size_t>(end - size)};
    }
    if (left_out_) {
      NEREID_CHECK(bytes.size() <= *left_out_);
      *left_out_ -= bytes.size();
    }
    pieces[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
    if (chunked_out_) pieces[count++] = {const_cast<char*>("\r\n"), 2};
  }
  co_return co_await Send({pieces, count});
}

Task<Nothing> HttpConnection::Finish() {
  NEREID_CHECK(answer_ == Answer::kHeld || answer_ == Answer::kStarted);
  iovec pieces[2];
  std::size_t count = 0;
  if (answer_ == Answer::kHeld) pieces[count++] = {out_.data(), out_.size()};
  if (chunked_out_ && !no_body_) pieces[count++] = {const_cast<char*>("0\r\n\r\n"), 5};
  if (left_out_.value_or(0) > 0 && !no_body_) {  // fewer bytes than promised: the client must see a cut
    Abort();
    co_return Gone();
  }
  answer_ = Answer::kDone;
  head_sent_ = true;
  co_return co_await Send({pieces, count});
}

void HttpConnection::Abort() {
  gone_ = true;
  // A reset, so that not even a client that reads until the end takes the cut for an end.
  linger reset{1, 0};
  if (stream_.socket().open()) ::setsockopt(stream_.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

Task<Nothing> HttpConnection::Refuse(const Status& why) {
  head_ = RequestHead{};
  keep_alive_ = false;
  answer_ = Answer::kNone;
  body_read_ = true;
  no_body_ = false;
  std::string body = why.message + "\n";
  co_return co_await Exchange::Respond(ResponseHead{why.code == Code::kTooLarge ? 431 : 400, "text/plain", {}}, body);
}

Awaitable<void> HttpConnection::Linger() {
  // Closing with unread bytes resets the connection, and the reset can overtake the answer: read for a while first.
  stream_.EndWriting();
  SetDeadline(Phase::kClosing, Millis(2000));
  char room[4096];
  for (std::size_t seen = 0; seen < 16 * kDiscardMax;) {
    ssize_t got = ::recv(stream_.fd(), room, sizeof room, MSG_DONTWAIT);
    if (got == 0) co_return;
    if (got > 0) {
      seen += static_cast<std::size_t>(got);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return;
    stream_.socket().Exhausted(Need::kRead);
    if (!co_await stream_.socket().Wait(Need::kRead)) co_return;
  }
}

// Only handlers that take longer than a tick are worth ending.
void HttpConnection::LookForEnd() {
  if (phase_ != Phase::kHandling || !watched_ || gone_) return;
  char byte;
  ssize_t got = ::recv(stream_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;  // a pipelined request: its answer will find out
  Lose();
  signal().emit(asio::cancellation_type::terminal);
}

void HttpConnection::Lose() {
  gone_ = used_cancellation_ = true;
  cancellation_.Cancel();
}

void HttpConnection::Tick(SteadyTime now) {
  if (now >= deadline_) {
    expired_ = true;
    deadline_ = SteadyTime::max();
    if (phase_ == Phase::kWriting || phase_ == Phase::kBody) Lose();
    stream_.socket().CancelWaits();
    return;
  }
  if (phase_ == Phase::kHandling && !watched_ && !body_pending()) {
    watched_ = used_cancellation_ = true;
    if (stream_.socket().hung_up()) LookForEnd();
  }
}

void HttpConnection::StopReading() {
  stopped_ = true;
  if (phase_ != Phase::kIdle && !(phase_ == Phase::kHead && begin_ == end_)) return;
  stream_.socket().CancelWaits();
}

void HttpConnection::Cut() {
  Lose();
  signal().emit(asio::cancellation_type::terminal);
  stream_.socket().CancelWaits();
}

}  // namespace nereid::net

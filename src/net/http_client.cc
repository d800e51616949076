#include "net/http_client.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>

#include <fmt/format.h>

namespace nereid::net {
namespace {

constexpr std::size_t kReadBytes = 16 << 10;
constexpr Millis kTick{100};
constexpr HeadLimits kAnswerHead{64 << 10, 200};

std::unexpected<Status> Broken(const Origin& origin, std::string_view what, std::string_view reason) {
  return Error(Code::kBadGateway, fmt::format("{}: {}", origin.Text(), what), reason);
}

}  // namespace

std::string Origin::Text() const {
  return fmt::format("{}://{}:{}", tls ? "https" : "http", host, port);
}

Result<BaseUrl> ParseBaseUrl(std::string_view text) {
  auto bad = [&] { return Error(Code::kInvalidArgument, fmt::format("'{}' is no base URL like https://host/v1", text), "bad_url"); };
  BaseUrl url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad();
  }
  std::size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) url.path = std::string(rest.substr(slash));
  while (url.path.ends_with('/')) url.path.pop_back();
  url.port = url.tls ? 443 : 80;
  std::string_view host = authority, port;
  if (authority.starts_with('[')) {
    std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad();
    host = authority.substr(1, close - 1);
    if (authority.substr(close + 1).starts_with(':')) port = authority.substr(close + 2);
  } else if (std::size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  if (!port.empty()) {
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc() || end != port.data() + port.size() || url.port < 1 || url.port > 65535) return bad();
  }
  if (host.empty() || host.find_first_of("@?# \t\r\n") != std::string_view::npos ||
      url.path.find_first_of("?# \t\r\n") != std::string::npos)
    return bad();
  url.host = std::string(host);
  return url;
}

// The connections of one io thread: those that carry an answer, and the idle ones by origin.
struct HttpClient::Lane {
  explicit Lane(Executor e) : executor(e), tick(e) {}
  Executor executor;
  Timer tick;
  bool ticking = false, stopped = false;
  std::vector<ClientConnection*> active;  // each knows its place
  std::unordered_map<const Origin*, std::vector<std::unique_ptr<ClientConnection>>> idle;

  void StartTicks();
  void Ticked(SteadyTime now);
};

class ClientConnection {
 public:
  ClientConnection(HttpClient::Lane& lane, const Origin& origin, Stream stream)
      : lane_(lane), origin_(&origin), stream_(std::move(stream)), in_(kReadBytes) {}
  ~ClientConnection() {
    Leave();
    stream_.Close();
  }

  void Join() {
    place_ = lane_.active.size();
    lane_.active.push_back(this);
    joined_ = true;
    expired_ = false;
  }
  void Leave() {
    if (!std::exchange(joined_, false)) return;
    lane_.active.back()->place_ = place_;
    lane_.active[place_] = lane_.active.back();
    lane_.active.pop_back();
  }

  // An idle connection that the peer has closed, or spoke on, is of no use.
  bool Fresh() {
    if (stream_.tls()) {
      char byte;
      return stream_.Read(&byte, 1).need == Need::kRead;
    }
    if (!stream_.socket().Ready(Need::kRead)) return true;
    char byte;
    ssize_t got = ::recv(stream_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  // Sends a request and reads the head of its answer.
  Task<Nothing> Ask(std::span<const std::string_view> pieces, Deadline deadline, bool& sent);
  Task<std::string_view> NextPiece();
  std::string_view Received();
  void Tick(SteadyTime now) {
    if (now < deadline_) return;
    expired_ = true;
    deadline_ = SteadyTime::max();
    stream_.socket().CancelWaits();
  }

  HttpClient::Lane& lane() { return lane_; }
  const Origin& origin() const { return *origin_; }
  UpstreamHead& head() { return head_; }
  bool reusable() const { return ended_ && head_.keep_alive && begin_ == end_ && reuse_; }
  bool answered() const { return answered_; }
  SteadyTime idle_since{};

 private:
  friend class HttpClient;
  // The next wait ends then, by Tick.
  void StartWait(Millis timeout) { deadline_ = std::min(std::chrono::steady_clock::now() + timeout, whole_.at()); }
  std::unexpected<Status> Interrupted(std::string_view doing) const {
    if (expired_)
      return Error(Code::kDeadlineExceeded, fmt::format("{} did not answer in time ({})", origin_->Text(), doing), "timeout",
                   std::string(doing));
    return Error(Code::kCancelled, "the request was cancelled", "cancelled");
  }
  Task<Nothing> ReadHead();
  Task<std::size_t> Receive(Millis timeout, std::string_view doing);

  HttpClient::Lane& lane_;
  const Origin* origin_;
  Stream stream_;
  std::size_t place_ = 0;  // in lane_.active
  bool joined_ = false, expired_ = false;
  SteadyTime deadline_ = SteadyTime::max();
  Deadline whole_;

  std::vector<char> in_;
  std::size_t begin_ = 0, end_ = 0;
  std::string head_bytes_;  // the head's own copy: the buffer is used again for the body
  UpstreamHead head_;
  ChunkDecoder chunks_;
  std::uint64_t left_ = 0;
  bool until_close_ = false, ended_ = false, answered_ = false, reuse_ = true;
};

void HttpClient::Lane::StartTicks() {
  if (ticking || stopped) return;
  ticking = true;
  tick.expires_after(kTick);
  tick.async_wait([this](boost::system::error_code error) {
    ticking = false;
    if (error || stopped) return;
    Ticked(std::chrono::steady_clock::now());
    if (!active.empty() || !idle.empty()) StartTicks();
  });
}

void HttpClient::Lane::Ticked(SteadyTime now) {
  for (ClientConnection* connection : active) connection->Tick(now);
  for (auto entry = idle.begin(); entry != idle.end();) {
    auto& list = entry->second;
    std::erase_if(list, [&](const auto& connection) { return now - connection->idle_since > entry->first->idle_timeout; });
    entry = list.empty() ? idle.erase(entry) : std::next(entry);
  }
}

HttpClient::HttpClient(IoThreads& threads) : threads_(threads) {
  for (int i = 0; i < threads.count(); ++i) lanes_.push_back(std::make_unique<Lane>(threads.executor(i)));
}

HttpClient::~HttpClient() = default;

void HttpClient::Stop() {
  for (auto& lane : lanes_) {
    asio::post(lane->executor, [lane = lane.get()] {
      lane->stopped = true;
      lane->tick.cancel();
      lane->idle.clear();
    });
  }
}

HttpClient::Lane& HttpClient::Here() {
  return *lanes_[static_cast<std::size_t>(IoThreads::CurrentIndex())];
}

Task<std::unique_ptr<ClientConnection>> HttpClient::Connect(Lane& lane, const Origin& origin, Deadline deadline) {
  deadline = deadline.Earlier(Deadline::After(std::chrono::steady_clock::now(), origin.connect_timeout));
  CO_TRY(auto addresses, co_await resolver_.Resolve(origin.host, deadline));
  Status last{Code::kBadGateway, fmt::format("{}: the name has no address", origin.Text()), "dns_failed", ""};
  for (const auto& address : addresses) {
    Endpoint endpoint(address, static_cast<unsigned short>(origin.port));
    int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      last =
          Status{Code::kBadGateway, fmt::format("{} could not be reached: {}", origin.Text(), std::strerror(errno)), "connect_failed", ""};
      continue;
    }
    int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int failed = ::connect(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0 ? 0 : errno;
    auto connection = std::make_unique<ClientConnection>(lane, origin, Stream(PolledSocket(lane.executor, fd)));
    connection->Join();
    lane.StartTicks();
    connection->deadline_ = deadline.at();
    if (failed == EINPROGRESS) {
      bool ready = co_await connection->stream_.socket().Wait(Need::kWrite);
      if (!ready && !connection->expired_) co_return Error(Code::kCancelled, "the request was cancelled", "cancelled");
      socklen_t size = sizeof failed;
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    }
    if (failed || connection->expired_) {
      last = connection->expired_
                 ? Status{Code::kDeadlineExceeded, fmt::format("{} could not be reached in time", origin.Text()), "timeout", "connect"}
                 : Status{Code::kBadGateway, fmt::format("{} could not be reached: {}", origin.Text(), std::strerror(failed)),
                          "connect_failed", ""};
      continue;
    }
    if (origin.tls) {
      auto shaken = co_await connection->stream_.Connect(origin.trust.get(), origin.host);
      if (!shaken) {
        if (connection->expired_)
          co_return Error(Code::kDeadlineExceeded, fmt::format("{} did not finish the TLS handshake in time", origin.Text()), "timeout",
                          "tls");
        if (shaken.error().code == Code::kCancelled) co_return std::unexpected(shaken.error());
        co_return Broken(origin, shaken.error().message, "tls_failed");
      }
    }
    connection->deadline_ = SteadyTime::max();
    co_return connection;
  }
  co_return std::unexpected(last);
}

Task<UpstreamAnswer> HttpClient::Send(const Origin& origin, std::span<const std::string_view> pieces, Deadline deadline, bool* sent_out) {
  Lane& lane = Here();
  bool sent = false;
  bool& told = sent_out ? *sent_out : sent;
  for (bool reuse : {true, false}) {
    std::unique_ptr<ClientConnection> connection;
    if (reuse) {
      auto entry = lane.idle.find(&origin);
      while (entry != lane.idle.end() && !entry->second.empty() && !connection) {
        connection = std::move(entry->second.back());
        entry->second.pop_back();
        if (!connection->Fresh()) connection.reset();
      }
      if (!connection) continue;
      connection->Join();
      lane.StartTicks();
    } else {
      CO_TRY(connection, co_await Connect(lane, origin, deadline));
    }
    auto done = co_await connection->Ask(pieces, deadline, told);
    if (done) co_return UpstreamAnswer(std::move(connection));
    // A kept connection may have been closed by the peer at the same moment: one more try, on a fresh one.
    if (reuse && !connection->answered() && done.error().reason == "reset") continue;
    co_return std::unexpected(std::move(done).error());
  }
  co_return Broken(origin, "no connection", "connect_failed");
}

Task<Nothing> ClientConnection::Ask(std::span<const std::string_view> pieces, Deadline deadline, bool& sent) {
  whole_ = deadline;
  ended_ = answered_ = until_close_ = false;
  begin_ = end_ = 0;
  iovec few[12];
  NEREID_CHECK(pieces.size() <= std::size(few));
  std::size_t count = 0;
  for (std::string_view piece : pieces) few[count++] = {const_cast<char*>(piece.data()), piece.size()};
  std::span<iovec> left(few, count);
  for (;;) {
    auto done = stream_.WriteAll(left);
    sent = sent || done.bytes > 0;
    if (left.empty() && done.error == 0) break;
    if (done.need == Need::kNone) {
      // A peer may answer before it has read everything: what it said is worth reading.
      if (sent) break;
      co_return Broken(*origin_, "the connection was reset while the request was sent", "reset");
    }
    StartWait(origin_->between_bytes_timeout);
    bool ready = co_await stream_.socket().Wait(done.need);
    deadline_ = SteadyTime::max();
    if (!ready) co_return Interrupted("taking the request");
  }
  co_return co_await ReadHead();
}

Task<std::size_t> ClientConnection::Receive(Millis timeout, std::string_view doing) {
  for (bool first = !answered_;; first = false) {
    // The answer to a request that has just left is not there yet: wait before the first try.
    Stream::Done done = first && !stream_.socket().Ready(Need::kRead) ? Stream::Done{0, Need::kRead, 0}
                                                                      : stream_.Read(in_.data() + end_, in_.size() - end_);
    if (done.need != Need::kNone) {
      StartWait(timeout);
      bool ready = co_await stream_.socket().Wait(done.need);
      deadline_ = SteadyTime::max();
      if (!ready) co_return Interrupted(doing);
      continue;
    }
    if (done.error != 0)
      co_return Broken(*origin_, fmt::format("the connection broke while {}: {}", doing, std::strerror(done.error)), "reset");
    end_ += done.bytes;
    co_return done.bytes;
  }
}

Task<Nothing> ClientConnection::ReadHead() {
  std::size_t scanned = 0;
  for (;;) {
    std::size_t size = end_ > begin_ ? FindHeadEnd({in_.data() + begin_, end_ - begin_}, scanned) : 0;
    if (size > 0) {
      head_bytes_.assign(in_.data() + begin_, size);
      begin_ += size;
      scanned = 0;
      auto parsed = ParseResponseHead(head_bytes_, kAnswerHead, head_);
      if (!parsed) co_return Broken(*origin_, fmt::format("the answer is no proper HTTP: {}", parsed.error().message), "bad_response");
      if (head_.status >= 200) break;
      if (head_.status == 101) co_return Broken(*origin_, "the peer wants to switch protocols", "bad_response");
      continue;  // 100 and 103: the answer is still to come
    }
    if (end_ - begin_ > kAnswerHead.bytes_max) co_return Broken(*origin_, "the head of the answer is too large", "bad_response");
    if (end_ >= 8 && !std::string_view(in_.data() + begin_, std::min<std::size_t>(5, end_ - begin_)).starts_with("HTTP/"))
      co_return Broken(*origin_, "the answer is not HTTP", "bad_response");
    if (in_.size() - end_ < kReadBytes / 4) in_.resize(in_.size() + kReadBytes);
    CO_TRY(std::size_t got, co_await Receive(origin_->first_byte_timeout, "waiting for the answer"));
    if (got == 0)
      co_return Broken(*origin_,
                       answered_ ? "the connection ended within the answer's head" : "the connection was closed without an answer",
                       answered_ ? "cut" : "reset");
    answered_ = true;
  }
  chunks_ = ChunkDecoder();
  chunks_.LimitChunks(INT32_MAX);
  left_ = head_.content_length.value_or(0);
  bool bodiless = head_.status == 204 || head_.status == 304;
  until_close_ = !bodiless && !head_.chunked && !head_.content_length;
  if (until_close_) reuse_ = false;
  ended_ = bodiless || (!head_.chunked && !until_close_ && left_ == 0);
  co_return Nothing{};
}

Task<std::string_view> ClientConnection::NextPiece() {
  while (!ended_) {
    if (begin_ == end_) {
      begin_ = end_ = 0;
      CO_TRY(std::size_t got, co_await Receive(origin_->between_bytes_timeout, "sending the answer"));
      if (got == 0) {
        if (until_close_) {
          ended_ = true;
          break;
        }
        co_return Broken(*origin_, "the answer ended before its end", "cut");
      }
    }
    std::string_view here(in_.data() + begin_, end_ - begin_);
    if (head_.chunked) {
      auto step = chunks_.Next(here);
      if (!step) co_return Broken(*origin_, step.error().message, "bad_response");
      begin_ += step->consumed;
      ended_ = step->done;
      if (!step->data.empty()) co_return step->data;
      continue;
    }
    std::size_t take = until_close_ ? here.size() : static_cast<std::size_t>(std::min<std::uint64_t>(left_, here.size()));
    begin_ += take;
    if (!until_close_) {
      left_ -= take;
      ended_ = left_ == 0;
    }
    co_return here.substr(0, take);
  }
  co_return std::string_view();
}

std::string_view ClientConnection::Received() {
  if (!head_.content_length || head_.chunked || ended_ || end_ - begin_ < left_) return {};
  std::string_view whole(in_.data() + begin_, static_cast<std::size_t>(left_));
  begin_ += whole.size();
  left_ = 0;
  ended_ = true;
  return whole;
}

UpstreamAnswer::UpstreamAnswer(std::unique_ptr<ClientConnection> connection) : connection_(std::move(connection)) {}
UpstreamAnswer::UpstreamAnswer(UpstreamAnswer&& other) noexcept = default;
UpstreamAnswer& UpstreamAnswer::operator=(UpstreamAnswer&& other) noexcept = default;

UpstreamAnswer::~UpstreamAnswer() {
  if (!connection_) return;
  connection_->Leave();
  if (!connection_->reusable() || connection_->lane().stopped) return;
  auto& idle = connection_->lane().idle[&connection_->origin()];
  if (idle.size() >= connection_->origin().idle_max) return;
  connection_->idle_since = std::chrono::steady_clock::now();
  idle.push_back(std::move(connection_));
}

const UpstreamHead& UpstreamAnswer::head() const {
  return connection_->head();
}

Task<std::string_view> UpstreamAnswer::Next() {
  return connection_->NextPiece();
}

std::string_view UpstreamAnswer::Received() {
  return connection_->Received();
}

Task<std::string_view> UpstreamAnswer::ReadAll(std::string& storage, std::size_t limit) {
  storage.clear();
  if (auto length = head().content_length; length && *length > limit)
    co_return Broken(connection_->origin(), "the answer is larger than what is accepted", "too_large");
  for (;;) {
    CO_TRY(std::string_view piece, co_await Next());
    if (piece.empty()) co_return std::string_view(storage);
    if (storage.size() + piece.size() > limit)
      co_return Broken(connection_->origin(), "the answer is larger than what is accepted", "too_large");
    // One piece that is all of it needs no copy.
    if (storage.empty() && head().content_length && piece.size() == *head().content_length) co_return piece;
    storage.append(piece);
  }
}

}  // namespace nereid::net

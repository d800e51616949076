// One server connection: reads heads, runs the handler, writes answers, for ever or until somebody has enough.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/body.h"
#include "net/exchange.h"
#include "net/http_head.h"
#include "net/http_server.h"
#include "net/stream.h"

namespace nereid::net {

// What the connections of a server share.
struct HttpHost {
  HttpServerOptions options;
  Handler handler;
  SslContext tls;
  std::shared_ptr<ByteBudget> budget;
};

// And those of one io thread of it.
struct HttpLane final : Lane {
  HttpLane(std::shared_ptr<const HttpHost> all, Executor home) : host(std::move(all)), executor(home) { Tick(); }
  std::shared_ptr<Connection> Connect(PolledSocket socket, std::string peer_address) override;
  void Tick() override;

  const std::shared_ptr<const HttpHost> host;
  const Executor executor;
  std::string date;  // "Date: ...\r\n" of this second
};

class HttpConnection final : public Exchange, public Connection {
 public:
  HttpConnection(HttpLane& lane, PolledSocket socket, std::string peer);

  Task<Nothing> Run() override;
  // Ends waits that took too long, looks for clients that left during long handlers.
  void Tick(SteadyTime now) override;
  void StopReading() override;
  void Cut() override;

  Method method() const override { return head_.method; }
  std::string_view method_text() const override { return head_.method_text; }
  std::string_view path() const override { return head_.path; }
  std::string_view query() const override { return head_.query; }
  std::optional<std::string_view> Header(std::string_view name) const override { return FindHeader(head_.headers, name); }
  std::span<const HeaderField> headers() const override { return head_.headers; }
  std::optional<std::uint64_t> content_length() const override { return head_.content_length; }
  SteadyTime arrival() const override { return arrival_; }
  std::string peer_address() const override { return peer_; }
  Executor executor() const override { return lane_.executor; }
  const Cancellation& cancellation() const override { return cancellation_; }

  using Exchange::ReadBody;
  Task<Body> ReadBody(std::uint64_t limit, BodyTail tail) override;
  using Exchange::Respond;
  Task<Nothing> Respond(ResponseHead head, std::span<const std::string_view> pieces) override;
  void Start(ResponseHead head, std::optional<std::uint64_t> content_length) override;
  Task<Nothing> Write(std::string_view bytes) override;
  Task<Nothing> Finish() override;
  bool started() const override { return answer_ == Answer::kStarted || answer_ == Answer::kDone || head_sent_; }
  bool finished() const override { return answer_ == Answer::kDone; }
  void Abort() override;

 private:
  enum class Phase : std::uint8_t { kIdle, kHead, kHandling, kBody, kWriting, kClosing };
  enum class Answer : std::uint8_t { kNone, kHeld, kStarted, kDone };  // kHeld: Start was called, nothing sent yet

  static constexpr std::size_t kReadBytes = 16 << 10;

  static std::unexpected<Status> Gone();  // the client
  Task<bool> ReadHead();                  // false: the connection ends
  Awaitable<bool> Serve();                // one request; false: the connection ends
  Result<bool> TakeHead();                // true: a whole head was parsed
  Awaitable<Stream::Done> Receive(char* to, std::size_t room, Phase phase, Millis timeout);
  Task<Nothing> Send(std::span<iovec> pieces);
  Task<Body> ReadLength(BodyBuffer buffer, std::uint64_t length, BodyTail tail);
  Task<Body> ReadTail(BodyBuffer buffer, std::size_t at, std::shared_ptr<char> memory, std::size_t bytes);
  Task<Nothing> ReadChunks(BodyBuffer& buffer);
  Task<Nothing> Refuse(const Status& why);
  void RenderHead(const ResponseHead& head, std::optional<std::uint64_t> content_length);
  Awaitable<void> Linger();
  void LookForEnd();
  void Lose();  // the client: nothing more can be read from it or told it
  void SetDeadline(Phase phase, Millis timeout);
  std::string_view buffered() const { return {in_.data() + begin_, end_ - begin_}; }
  bool body_pending() const;

  HttpLane& lane_;
  const HttpHost& host_;
  Stream stream_;
  const std::string peer_;

  std::vector<char> in_;  // [begin_, end_) was received and not used yet; the head's views point into it
  std::size_t begin_ = 0, end_ = 0, scanned_ = 0, head_bytes_ = 0;
  RequestHead head_;
  SteadyTime arrival_{};
  Cancellation cancellation_;
  bool used_cancellation_ = false;

  Phase phase_ = Phase::kIdle;
  SteadyTime deadline_ = SteadyTime::max();  // of the present phase
  bool expired_ = false, stopped_ = false, gone_ = false;
  bool watched_ = false;  // this request has taken longer than a tick

  bool body_read_ = false;
  Answer answer_ = Answer::kNone;
  bool head_sent_ = false, keep_alive_ = true, chunked_out_ = false, no_body_ = false;
  std::optional<std::uint64_t> left_out_;  // of a body with a length
  std::string out_;                        // rendered head
};

}  // namespace nereid::net

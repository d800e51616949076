// The HTTP/2 server: requests and answers as pieces, both ways at once. nghttp2 keeps the protocol. Over TLS, or by prior knowledge.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/exchange.h"
#include "net/listener.h"

namespace nereid::net {

// Bytes to send, and what keeps them alive.
struct Piece {
  std::shared_ptr<const void> owner;
  std::string_view bytes;

  static Piece Own(std::string text) {
    auto owned = std::make_shared<const std::string>(std::move(text));
    std::string_view view = *owned;
    return {std::move(owned), view};
  }
};

// A request and its answer. Used on its connection's thread only, from the handler's call until OnClose.
class Http2Stream {
 public:
  virtual ~Http2Stream() = default;

  // Of the request: ":method", ":path" and the like too; names in lower case.
  virtual std::span<const HeaderField> headers() const = 0;
  std::optional<std::string_view> Header(std::string_view name) const;

  // The answer: a head, data, perhaps trailers. Only the first and the last call count, in that order; all return at once. Data wait
  // until the client has room for them: see OnSent.
  virtual void Respond(std::span<const HeaderField> head, bool ends) = 0;
  virtual void Write(Piece piece) = 0;
  virtual void End(std::span<const HeaderField> trailers) = 0;

  // Lets the client send as many bytes more. What it has sent and this was not called for is at most Http2Options::window_bytes.
  virtual void Consume(std::size_t bytes) = 0;
};

// Who reads a request. All calls come on the connection's thread.
class Http2Receiver {
 public:
  virtual ~Http2Receiver() = default;
  virtual void OnData(std::string_view bytes) = 0;
  // Where the next data may be received to, so that OnData need not copy them; valid until it. Empty: nowhere.
  virtual std::span<char> Room() { return {}; }
  virtual void OnEnd() = 0;  // of the request
  // So many bytes of the data to write have left.
  virtual void OnSent(std::size_t bytes) = 0;
  // A few times a second.
  virtual void OnTick(SteadyTime now) = 0;
  // The last call: the answer is out, the client has cancelled, or the connection is lost. The stream is gone then.
  virtual void OnClose() = 0;
};

// Looks at the head of a request. Null: it has answered.
using Http2Handler = std::function<std::shared_ptr<Http2Receiver>(Http2Stream& stream, int thread, Executor executor)>;

struct Http2Options {
  ListenOptions listen;
  std::string certificate_file, key_file;  // both set: TLS
  std::string client_roots_file;           // set: clients must show a certificate from one of these authorities
  std::size_t head_bytes_max = 16 << 10;   // as gRPC's own servers; those of all streams are kept
  std::uint32_t streams_max = 4096;        // of one connection; more wait in the client
  std::uint32_t window_bytes = 4 << 20;
  Millis handshake_timeout{10'000}, write_timeout{30'000};
  // A connection on which nothing came for so long is asked whether it is alive, and ended without an answer.
  Millis ping_after{7'200'000}, ping_timeout{20'000};
  bool ping_without_streams = false;
  // A client that asks more often, beyond this many times, is sent away; 0: never.
  Millis ping_interval_min{300'000};
  int ping_strikes_max = 2;
  // An older connection ends once its streams have, at the latest when the grace is over. 0: no limit.
  Millis age_max{0}, age_grace{0};
};

class Http2Server {
 public:
  // `threads` outlives the server.
  Http2Server(IoThreads& threads, Http2Options options, Http2Handler handler);
  ~Http2Server();

  // As Listener's.
  Result<int> Start();
  void BeginDrain() {
    if (listener_) listener_->BeginDrain();
  }
  // As Listener's: streams under way end first.
  bool Drain(SteadyTime deadline) { return !listener_ || listener_->Drain(deadline); }

 private:
  IoThreads& threads_;
  const Http2Options options_;
  const Http2Handler handler_;
  std::optional<Listener> listener_;  // once started
};

}  // namespace nereid::net

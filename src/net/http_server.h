// The HTTP/1.1 server: a listener and its connections on every io thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/exchange.h"
#include "net/http_head.h"
#include "net/listener.h"

namespace nereid::net {

struct HttpServerOptions {
  ListenOptions listen;
  HeadLimits head;
  std::uint64_t buffered_bytes_max = 1 << 30;  // request bodies, over all connections
  Millis head_timeout{10'000}, body_timeout{30'000}, idle_timeout{75'000}, write_timeout{30'000};
  std::string certificate_file, key_file;  // both set: TLS
};

class HttpServer {
 public:
  // `handler` answers whole heads. `threads` outlives the server.
  HttpServer(IoThreads& threads, HttpServerOptions options, Handler handler);
  ~HttpServer();

  // As Listener's.
  Result<int> Start();
  // As Listener's: every request whose head was read is answered, idle connections are closed.
  bool Drain(SteadyTime deadline) { return !listener_ || listener_->Drain(deadline); }

  int connections() const { return listener_ ? listener_->connections() : 0; }

 private:
  IoThreads& threads_;
  const HttpServerOptions options_;
  const Handler handler_;
  std::optional<Listener> listener_;  // once started
};

}  // namespace nereid::net

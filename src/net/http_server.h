// The HTTP/1.1 server: a listener and its connections on every io thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/body.h"
#include "net/exchange.h"
#include "net/http_head.h"
#include "net/io_threads.h"
#include "net/stream.h"

namespace nereid::net {

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  int port = 0;             // 0: any free one
  bool reuse_port = false;  // skip the probe for another server on the port
  int threads_max = 0;      // listen on the first N io threads only; 0: on all
  HeadLimits head;
  std::uint64_t buffered_bytes_max = 1 << 30;  // request bodies, over all connections
  Millis head_timeout{10'000}, body_timeout{30'000}, idle_timeout{75'000}, write_timeout{30'000};
  int connections_max = 16'384;            // further ones are closed at once
  std::string certificate_file, key_file;  // both set: TLS
};

class HttpServer {
 public:
  // `handler` answers whole heads. `threads` outlives the server.
  HttpServer(IoThreads& threads, HttpServerOptions options, Handler handler);
  ~HttpServer();

  // Binds and listens; answers the port. kUnavailable with reason "port_in_use" names the address. Once, from any thread but the io
  // threads.
  Result<int> Start();

  // Accepts what is queued, closes the listeners and idle connections, and waits until every request whose head was read is answered,
  // at most until `deadline`; then what is left is cut. False when something had to be cut. Blocks; not from an io thread.
  bool Drain(SteadyTime deadline);

  int connections() const;

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace nereid::net

// A listener on every io thread, and the connections that come of it, until all have ended.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/cancellation_signal.hpp>

#include "base/clock.h"
#include "net/io_threads.h"
#include "net/polled_socket.h"
#include "net/task.h"

namespace nereid::net {

// A connection as its listener sees it. Lives on one io thread.
class Connection {
 public:
  virtual ~Connection() = default;
  // The connection's whole life.
  virtual Task<Nothing> Run() = 0;
  // Called a few times a second.
  virtual void Tick(SteadyTime now) = 0;
  // Nothing new is taken; ends when what is under way has ended.
  virtual void StopReading() = 0;
  // Ends now.
  virtual void Cut() = 0;

  // Cancels Run.
  asio::cancellation_signal& signal() { return signal_; }

 private:
  asio::cancellation_signal signal_;
};

struct ListenOptions {
  std::string address = "127.0.0.1";
  int port = 0;                  // 0: any free one
  bool reuse_port = false;       // skip the probe for another server on the port
  int threads_max = 0;           // listen on the first N io threads only; 0: on all
  int connections_max = 16'384;  // further ones are closed at once
};

// What one io thread makes connections of. Outlived by none of them.
class Lane {
 public:
  virtual ~Lane() = default;
  virtual std::shared_ptr<Connection> Connect(PolledSocket socket, std::string peer_address) = 0;
  // Called a few times a second, before the connections' ticks.
  virtual void Tick() {}
};

class Listener {
 public:
  using MakeLane = std::function<std::unique_ptr<Lane>(int thread, Executor executor)>;
  // `threads` outlives the listener.
  Listener(IoThreads& threads, ListenOptions options, const MakeLane& make);
  ~Listener();

  // Binds and listens; answers the port. kUnavailable with reason "port_in_use" names the address. Once, from any thread but the io
  // threads.
  Result<int> Start();

  // Accepts what is queued, closes the listeners, and tells the connections to stop reading. Returns at once.
  void BeginDrain();
  // That, and waits until all connections have ended, at most until `deadline`; then what is left is cut. False when something had to be
  // cut. Blocks; not from an io thread.
  bool Drain(SteadyTime deadline);

  int connections() const;

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace nereid::net

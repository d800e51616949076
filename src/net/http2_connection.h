// One HTTP/2 connection: moves bytes between its socket and nghttp2's session, and that one's events to the receivers of its streams.
#pragma once

#include <nghttp2/nghttp2.h>

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "net/http2_server.h"
#include "net/out_queue.h"
#include "net/stream.h"

namespace nereid::net {

// What the connections of a server share.
struct Http2Host {
  Http2Options options;
  Http2Handler handler;
  SslContext tls;
};

// And those of one io thread of it.
struct Http2Lane final : Lane {
  Http2Lane(std::shared_ptr<const Http2Host> all, int number, Executor home);
  std::shared_ptr<Connection> Connect(PolledSocket socket, std::string peer_address) override;

  const std::shared_ptr<const Http2Host> host;
  const int thread;
  const Executor executor;
  std::vector<char> in;  // what is received here is used up before anything else is received
};

struct Nghttp2Free {
  void operator()(nghttp2_session* session) const { ::nghttp2_session_del(session); }
};

class Http2Connection final : public Connection, public std::enable_shared_from_this<Http2Connection> {
 public:
  Http2Connection(Http2Lane& lane, PolledSocket socket);
  ~Http2Connection() override;

  Task<Nothing> Run() override;
  void Tick(SteadyTime now) override;
  void StopReading() override;
  void Cut() override;

 private:
  class OneStream;
  struct Callbacks;
  friend struct Callbacks;

  static constexpr std::uint32_t kFrameBytesMax = 1 << 20;
  // Sent along to tell our pings from nothing.
  static constexpr std::uint8_t kLeavePing[8] = {'l', 'e', 'a', 'v', 'e'}, kAlivePing[8] = {'a', 'l', 'i', 'v', 'e'};

  static nghttp2_session_callbacks* SessionCallbacks();
  void StartSession();
  // Where to receive to.
  std::span<char> Room();
  bool Take(std::span<char> received);
  // What the session has to say goes out soon, together with what else comes meanwhile.
  void FlushSoon();
  void Flush();
  Task<Nothing> WriteOn(std::shared_ptr<Http2Connection> self);  // once the socket takes more
  Task<Nothing> Linger();
  void Accept(OneStream& stream);
  void Close(OneStream& stream);
  void OnPing();
  void CheckAlive(SteadyTime now);
  void CheckAge(SteadyTime now);
  void SendLastGoaway();

  Http2Lane& lane_;
  const Http2Options& options_;
  Stream stream_;
  std::unique_ptr<nghttp2_session, Nghttp2Free> session_;
  std::list<OneStream> streams_;
  OutQueue out_;
  OneStream* sender_ = nullptr;             // whose DATA frame is on its way in, unpadded
  std::size_t frame_left_ = 0;              // of it
  const std::uint8_t* data_end_ = nullptr;  // of the last data handed over
  bool greeted_ = false;                    // with the whole preface
  bool receiving_ = false, flush_posted_ = false, writing_ = false, over_ = false;

  SteadyTime began_, heard_, deadline_;  // deadline_: of the handshake, of a blocked write, of lingering
  SteadyTime ping_sent_{};               // and not answered
  SteadyTime client_ping_{};             // the last that was not too soon
  int strikes_ = 0;
  SteadyTime age_limit_ = SteadyTime::max(), leave_at_ = SteadyTime::max(), cut_at_ = SteadyTime::max();
  bool leaving_ = false;  // GOAWAY is said; the last one at leave_at_
};

}  // namespace nereid::net

// The outbound side: keep-alive connections to providers, pooled by io thread, so that a relay crosses no thread.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/body.h"
#include "net/http_head.h"
#include "net/io_threads.h"
#include "net/resolver.h"
#include "net/stream.h"

namespace nereid::net {

// Where requests go. Made once by its user; compared by address.
struct Origin {
  bool tls = false;
  std::string host;  // a name or an IP address
  int port = 80;
  SslContext trust;  // set when tls
  Millis connect_timeout{10'000}, first_byte_timeout{180'000}, between_bytes_timeout{60'000};
  std::size_t idle_max = 256;  // kept connections a thread
  Millis idle_timeout{55'000};

  std::string Text() const;  // "https://host:port"
};

struct BaseUrl {
  bool tls = false;
  std::string host;
  int port = 0;
  std::string path;  // without a trailing slash
};
// "https://api.example/v1". Errors name the text.
Result<BaseUrl> ParseBaseUrl(std::string_view text);

class HttpClient;
class ClientConnection;

// An answer on its way. Move-only; dropping it before its end closes the connection, which tells the peer to stop.
class UpstreamAnswer {
 public:
  UpstreamAnswer() = default;
  UpstreamAnswer(UpstreamAnswer&& other) noexcept;
  UpstreamAnswer& operator=(UpstreamAnswer&& other) noexcept;
  ~UpstreamAnswer();

  // Valid until the answer is dropped or moved from.
  const UpstreamHead& head() const;
  // The next piece of the body, chunks taken apart; empty at its proper end. Valid until the next call.
  // kBadGateway "cut" when the peer ended early, "reset"; kDeadlineExceeded "timeout".
  Task<std::string_view> Next();
  // The whole body when all of it came with the head and its length was told, else empty. Then Next gives nothing more.
  std::string_view Received();
  // The whole body, at most `limit` bytes (kBadGateway "too_large").
  Task<std::string_view> ReadAll(std::string& storage, std::size_t limit);

 private:
  friend class HttpClient;
  explicit UpstreamAnswer(std::unique_ptr<ClientConnection> connection);
  std::unique_ptr<ClientConnection> connection_;
};

class HttpClient {
 public:
  explicit HttpClient(IoThreads& threads);
  ~HttpClient();

  // Sends a whole request and reads the answer's head. `pieces` (head and body) and `origin` live until the task ends. On an io thread.
  // Failures before any byte of an answer: kUnavailable or kBadGateway with reason "connect_failed", "dns_failed", "tls_failed", "reset",
  // "bad_response"; kDeadlineExceeded "timeout" (its detail says of what). `sent` tells whether the request may have reached the peer.
  Task<UpstreamAnswer> Send(const Origin& origin, std::span<const std::string_view> pieces, Deadline deadline, bool* sent = nullptr);

  // Ends the ticks; before the io threads stop.
  void Stop();

 private:
  friend class UpstreamAnswer;
  friend class ClientConnection;
  struct Lane;
  Lane& Here();
  Task<std::unique_ptr<ClientConnection>> Connect(Lane& lane, const Origin& origin, Deadline deadline);

  IoThreads& threads_;
  Resolver resolver_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace nereid::net

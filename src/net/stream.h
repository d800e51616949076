// A connected socket, plain or TLS, read and written without blocking. The caller waits for readiness when a try says so.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <span>
#include <string>

#include <openssl/ssl.h>

#include "net/polled_socket.h"
#include "net/spawn.h"
#include "net/task.h"

namespace nereid::net {

struct SslFree {
  void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
};
using SslPtr = std::unique_ptr<SSL, SslFree>;
using SslContext = std::unique_ptr<SSL_CTX, SslFree>;

// For a listener. Errors name the file.
Result<SslContext> ServerTls(const std::string& certificate_file, const std::string& key_file);
// A client must show a certificate that one of the authorities in the file has signed.
Result<Nothing> AskForCertificate(SSL_CTX* context, const std::string& roots_file);
// HTTP/2 is taken of the protocols that a client offers (ALPN); one that offers others only is refused.
void OfferHttp2(SSL_CTX* context);
// For outbound connections: verifies against `ca_file`, or the system's roots when that is empty.
Result<SslContext> ClientTls(const std::string& ca_file);
// OpenSSL's newest error on this thread, as text.
std::string TlsErrorText();

class Stream {
 public:
  struct Done {
    std::size_t bytes = 0;    // 0 with Need::kNone and no error: the peer ended its side (reads only)
    Need need = Need::kNone;  // not done: wait for this
    int error = 0;            // errno, or EPROTO for TLS
  };

  explicit Stream(PolledSocket socket) : socket_(std::move(socket)) {}
  Stream(Stream&&) = default;
  Stream& operator=(Stream&&) = default;

  // Handshake for server or client; `host` is verified and sent as SNI (client). kUnauthenticated-like texts come as kUnavailable,
  // "tls_failed".
  Task<Nothing> Accept(SSL_CTX* context);
  Task<Nothing> Connect(SSL_CTX* context, const std::string& host);

  Done Read(char* to, std::size_t room);
  Done Write(std::span<const iovec> pieces);
  // Writes until `pieces`, which moves on, is empty: then the need is kNone and the error 0. `bytes` is the sum.
  Done WriteAll(std::span<iovec>& pieces);

  PolledSocket& socket() { return socket_; }
  const PolledSocket& socket() const { return socket_; }
  int fd() const { return socket_.fd(); }
  bool tls() const { return ssl_ != nullptr; }
  // Nothing more is written; reading goes on.
  void EndWriting();
  void Close();

 private:
  Task<Nothing> Handshake();
  Done TlsResult(int result);  // of a call that did not go through

  PolledSocket socket_;
  SslPtr ssl_;
};

}  // namespace nereid::net

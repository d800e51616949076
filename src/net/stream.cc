#include "net/stream.h"

#include <sys/socket.h>

#include <cerrno>

#include <fmt/format.h>
#include <openssl/err.h>

namespace nereid::net {

std::string TlsErrorText() {
  unsigned long error = ::ERR_peek_last_error();
  ::ERR_clear_error();
  if (error == 0) return "the peer closed the connection";
  char text[256];
  ::ERR_error_string_n(error, text, sizeof text);
  return text;
}

Result<SslContext> ServerTls(const std::string& certificate_file, const std::string& key_file) {
  SslContext context(::SSL_CTX_new(::TLS_server_method()));
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  if (::SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1)
    return Error(Code::kInvalidArgument, fmt::format("cannot use the certificate file '{}': {}", certificate_file, TlsErrorText()),
                 "tls_config");
  if (::SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return Error(Code::kInvalidArgument, fmt::format("cannot use the key file '{}': {}", key_file, TlsErrorText()), "tls_config");
  ::SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  return context;
}

Result<Nothing> AskForCertificate(SSL_CTX* context, const std::string& roots_file) {
  if (::SSL_CTX_load_verify_file(context, roots_file.c_str()) != 1)
    return Error(Code::kInvalidArgument, fmt::format("cannot use the roots file '{}': {}", roots_file, TlsErrorText()), "tls_config");
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // Without a name of its own OpenSSL refuses every session that was verified and comes again.
  static constexpr unsigned char kName[] = {'n', 'e', 'r', 'e', 'i', 'd'};
  ::SSL_CTX_set_session_id_context(context, kName, sizeof kName);
  return Nothing{};
}

void OfferHttp2(SSL_CTX* context) {
  ::SSL_CTX_set_alpn_select_cb(
      context,
      [](SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size, void*) {
        static constexpr unsigned char kOurs[] = {2, 'h', '2'};
        int found = ::SSL_select_next_proto(const_cast<unsigned char**>(out), out_size, kOurs, sizeof kOurs, in, in_size);
        return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
      },
      nullptr);
}

Result<SslContext> ClientTls(const std::string& ca_file) {
  SslContext context(::SSL_CTX_new(::TLS_client_method()));
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  int loaded =
      ca_file.empty() ? ::SSL_CTX_set_default_verify_paths(context.get()) : ::SSL_CTX_load_verify_file(context.get(), ca_file.c_str());
  if (loaded != 1)
    return Error(
        Code::kInvalidArgument,
        fmt::format("cannot read the roots of trust in '{}': {}", ca_file.empty() ? "the system's store" : ca_file, TlsErrorText()),
        "tls_config");
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  ::SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  return context;
}

Task<Nothing> Stream::Accept(SSL_CTX* context) {
  ssl_.reset(::SSL_new(context));
  ::SSL_set_fd(ssl_.get(), fd());
  ::SSL_set_accept_state(ssl_.get());
  co_return co_await Handshake();
}

Task<Nothing> Stream::Connect(SSL_CTX* context, const std::string& host) {
  ssl_.reset(::SSL_new(context));
  ::SSL_set_fd(ssl_.get(), fd());
  ::SSL_set_connect_state(ssl_.get());
  boost::system::error_code name;
  (void)asio::ip::make_address(host, name);
  if (name) ::SSL_set_tlsext_host_name(ssl_.get(), host.c_str());  // RFC 6066: never an address
  ::SSL_set1_host(ssl_.get(), host.c_str());
  co_return co_await Handshake();
}

Task<Nothing> Stream::Handshake() {
  for (;;) {
    ::ERR_clear_error();
    int result = ::SSL_do_handshake(ssl_.get());
    if (result == 1) co_return Nothing{};
    Done done = TlsResult(result);
    if (done.need == Need::kNone)
      co_return Error(Code::kUnavailable, fmt::format("the TLS handshake failed: {}", TlsErrorText()), "tls_failed");
    if (!co_await socket_.Wait(done.need)) co_return Error(Code::kCancelled, "the TLS handshake was cut short", "cancelled");
  }
}

Stream::Done Stream::TlsResult(int result) {
  switch (::SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: socket_.Exhausted(Need::kRead); return {0, Need::kRead, 0};
    case SSL_ERROR_WANT_WRITE: socket_.Exhausted(Need::kWrite); return {0, Need::kWrite, 0};
    case SSL_ERROR_ZERO_RETURN: return {};
    case SSL_ERROR_SYSCALL: return {0, Need::kNone, errno ? errno : ECONNRESET};
    default: return {0, Need::kNone, EPROTO};
  }
}

Stream::Done Stream::Read(char* to, std::size_t room) {
  if (ssl_) {
    ::ERR_clear_error();
    int got = ::SSL_read(ssl_.get(), to, static_cast<int>(std::min<std::size_t>(room, 1 << 30)));
    if (got > 0) return {static_cast<std::size_t>(got), Need::kNone, 0};
    return TlsResult(got);
  }
  for (;;) {
    ssize_t got = ::recv(fd(), to, room, 0);
    if (got >= 0) {
      // Fewer bytes than there was room for are all that had come (epoll(7), edge-triggered stream sockets).
      if (static_cast<std::size_t>(got) < room) socket_.Exhausted(Need::kRead);
      return {static_cast<std::size_t>(got), Need::kNone, 0};
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      socket_.Exhausted(Need::kRead);
      return {0, Need::kRead, 0};
    }
    return {0, Need::kNone, errno};
  }
}

Stream::Done Stream::Write(std::span<const iovec> pieces) {
  if (ssl_) {
    for (const iovec& piece : pieces) {
      if (piece.iov_len == 0) continue;
      ::ERR_clear_error();
      int sent = ::SSL_write(ssl_.get(), piece.iov_base, static_cast<int>(std::min<std::size_t>(piece.iov_len, 1 << 30)));
      if (sent > 0) return {static_cast<std::size_t>(sent), Need::kNone, 0};
      return TlsResult(sent);
    }
    return {};
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = std::min<std::size_t>(pieces.size(), IOV_MAX);
  for (;;) {
    ssize_t sent = ::sendmsg(fd(), &message, MSG_NOSIGNAL);
    if (sent >= 0) return {static_cast<std::size_t>(sent), Need::kNone, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      socket_.Exhausted(Need::kWrite);
      return {0, Need::kWrite, 0};
    }
    return {0, Need::kNone, errno};
  }
}

Stream::Done Stream::WriteAll(std::span<iovec>& pieces) {
  Done all;
  while (!pieces.empty()) {
    if (pieces.front().iov_len == 0) {
      pieces = pieces.subspan(1);
      continue;
    }
    Done done = Write(pieces);
    if (done.need != Need::kNone || done.bytes == 0) {
      all.need = done.need;
      all.error = done.need != Need::kNone ? 0 : done.error != 0 ? done.error : ECONNRESET;
      return all;
    }
    all.bytes += done.bytes;
    std::size_t sent = done.bytes;
    while (!pieces.empty() && sent >= pieces.front().iov_len) {
      sent -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (sent > 0) {
      pieces.front().iov_base = static_cast<char*>(pieces.front().iov_base) + sent;
      pieces.front().iov_len -= sent;
    }
  }
  return all;
}

void Stream::EndWriting() {
  if (ssl_) ::SSL_shutdown(ssl_.get());
  ::shutdown(fd(), SHUT_WR);
}

void Stream::Close() {
  if (ssl_ && socket_.open()) ::SSL_shutdown(ssl_.get());
  socket_.Close();
}

}  // namespace nereid::net

// A client for the HTTP/2 server's tests: nghttp2 on a blocking socket, told when to send and when to receive; and any bytes one likes.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "net/exchange.h"
#include "net/stream.h"

namespace nereid::net {

using Fields = std::vector<std::pair<std::string, std::string>>;

// A frame as it lies on the wire.
inline std::string FrameBytes(std::uint8_t type, std::uint8_t flags, std::int32_t stream, std::string_view payload) {
  std::string frame;
  for (int shift : {16, 8, 0}) frame += static_cast<char>(payload.size() >> shift);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) frame += static_cast<char>(stream >> shift);
  return frame.append(payload);
}

struct Http2ClientOptions {
  std::uint32_t window_bytes = 65'535;  // of each stream, and not of the connection, which takes everything
  bool opens_windows = true;            // again, as data come
  bool answers_pings = true;
  std::size_t frame_bytes = 16 << 10;  // of DATA, as far as the server takes them
  std::size_t padding_bytes = 0;
  int socket_buffer_bytes = 0;  // 0: the system's own
  bool tls = false;
};

class Http2TestClient {
 public:
  struct Answer {
    std::map<std::string, std::string> head, trailers;
    std::string data;
    std::size_t sent_bytes = 0;  // of the request
    bool ended = false;
    std::optional<std::uint32_t> reset, closed;  // with this error
  };
  struct Goaway {
    std::int32_t last_stream;
    std::uint32_t error;
    std::string text;
  };

  explicit Http2TestClient(int port, Http2ClientOptions options = {}) : options_(options) {
    Connect(port);
    StartSession();
  }
  ~Http2TestClient() { Close(); }
  Http2TestClient(const Http2TestClient&) = delete;
  Http2TestClient& operator=(const Http2TestClient&) = delete;

  // ---- requests; they leave with the next Flush

  std::int32_t Post(const std::string& path, std::string body, bool ends = true, const Fields& more = {}) {
    Fields fields = {{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "test"}};
    fields.insert(fields.end(), more.begin(), more.end());
    auto outgoing = std::make_unique<Outgoing>(std::move(body), 0, ends);
    nghttp2_data_provider data{{.ptr = outgoing.get()}, ReadBody};
    std::vector<nghttp2_nv> pairs = Pairs(fields);
    std::int32_t number = ::nghttp2_submit_request(session_.get(), nullptr, pairs.data(), pairs.size(), &data, nullptr);
    EXPECT_GT(number, 0);
    bodies_[number] = std::move(outgoing);
    return number;
  }
  void Send(std::int32_t number, std::string_view bytes, bool ends) {
    bodies_.at(number)->text += bytes;
    bodies_.at(number)->ends = ends;
    ::nghttp2_session_resume_data(session_.get(), number);
  }
  // In the place of the end.
  void SendTrailers(std::int32_t number, const Fields& fields) {
    std::vector<nghttp2_nv> pairs = Pairs(fields);
    EXPECT_EQ(::nghttp2_submit_trailer(session_.get(), number, pairs.data(), pairs.size()), 0);
  }
  void Reset(std::int32_t number) { ::nghttp2_submit_rst_stream(session_.get(), 0, number, NGHTTP2_CANCEL); }
  void OpenWindow(std::int32_t number, std::size_t bytes) { ::nghttp2_session_consume(session_.get(), number, bytes); }
  void Ping() { ::nghttp2_submit_ping(session_.get(), 0, nullptr); }

  // ---- the wire

  void Flush() {
    for (;;) {
      const std::uint8_t* bytes = nullptr;
      auto size = ::nghttp2_session_mem_send(session_.get(), &bytes);
      if (size <= 0) return;
      SendRaw({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)});
    }
  }
  // False: the server has closed; reading says so, too.
  bool SendRaw(std::string_view bytes) {
    while (!bytes.empty() && !closed_) {
      ssize_t sent = Persist([&] {
        return ssl_ ? ::SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                    : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      });
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return !closed_;
  }
  // Waits for some bytes. False when none came: the connection has ended, or the test hangs.
  bool Receive() {
    if (closed_) return false;
    char room[64 << 10];
    ssize_t got = Persist([&] { return ssl_ ? ::SSL_read(ssl_.get(), room, sizeof room) : ::recv(fd_, room, sizeof room, 0); });
    bool timed_out = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    EXPECT_FALSE(timed_out) << "nothing came for seconds";
    if (got <= 0) {
      closed_ = !timed_out;
      return false;
    }
    return ::nghttp2_session_mem_recv(session_.get(), reinterpret_cast<std::uint8_t*>(room), static_cast<std::size_t>(got)) >= 0;
  }
  template <class Condition>
  bool Until(Condition condition) {
    for (;;) {
      Flush();
      if (condition()) return true;
      if (!Receive()) return condition();
    }
  }
  bool UntilEnded(std::int32_t number) {
    return Until([&] { return answers_[number].ended; });
  }
  bool UntilClosed() {
    Until([] { return false; });
    return closed_;
  }
  // All that the server has to say to what was sent before has come.
  bool Settle() {
    std::size_t pongs = pongs_ + 1;
    Ping();
    return Until([&] { return pongs_ >= pongs; });
  }
  void Close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    closed_ = true;
  }

  const Answer& answer(std::int32_t number) { return answers_[number]; }
  const std::vector<Goaway>& goaways() const { return goaways_; }
  const std::vector<std::uint8_t>& frame_types() const { return frame_types_; }  // of all that came
  bool closed() const { return closed_; }
  SSL* ssl() { return ssl_.get(); }

 private:
  struct Outgoing {
    std::string text;
    std::size_t at;
    bool ends;
  };
  struct Free {
    void operator()(nghttp2_session* session) const { ::nghttp2_session_del(session); }
  };

  // A process that was stopped for a while has its waits with a timeout interrupted.
  template <class Call>
  static ssize_t Persist(Call call) {
    for (;;) {
      errno = 0;  // OpenSSL fails without it, too
      ssize_t result = call();
      if (result >= 0 || errno != EINTR) return result;
    }
  }

  static std::vector<nghttp2_nv> Pairs(const Fields& fields) {
    auto bytes = [](const std::string& text) { return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data())); };
    std::vector<nghttp2_nv> pairs;
    for (const auto& [name, value] : fields) pairs.push_back({bytes(name), bytes(value), name.size(), value.size(), 0});
    return pairs;
  }

  void Connect(int port) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (options_.socket_buffer_bytes > 0)
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &options_.socket_buffer_bytes, sizeof options_.socket_buffer_bytes);
    timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    if (!options_.tls) return;
    context_.reset(::SSL_CTX_new(::TLS_client_method()));
    ssl_.reset(::SSL_new(context_.get()));
    ::SSL_set_fd(ssl_.get(), fd_);
    ::SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>("\2h2"), 3);
    EXPECT_EQ(::SSL_connect(ssl_.get()), 1);
  }

  void StartSession() {
    nghttp2_session_callbacks* callbacks = nullptr;
    ::nghttp2_session_callbacks_new(&callbacks);
    ::nghttp2_session_callbacks_set_on_header_callback(callbacks, Header);
    ::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Data);
    ::nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Frame);
    ::nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Closed);
    ::nghttp2_session_callbacks_set_select_padding_callback(callbacks, Padded);
    ::nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, DataLength);
    nghttp2_option* option = nullptr;
    ::nghttp2_option_new(&option);
    ::nghttp2_option_set_no_auto_window_update(option, 1);
    ::nghttp2_option_set_no_auto_ping_ack(option, options_.answers_pings ? 0 : 1);
    ::nghttp2_option_set_max_send_header_block_length(option, 1 << 30);
    nghttp2_session* session = nullptr;
    EXPECT_EQ(::nghttp2_session_client_new2(&session, callbacks, this, option), 0);
    ::nghttp2_option_del(option);
    ::nghttp2_session_callbacks_del(callbacks);
    session_.reset(session);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.window_bytes}};
    ::nghttp2_submit_settings(session, 0, settings, std::size(settings));
    ::nghttp2_session_set_local_window_size(session, 0, 0, 1 << 30);
  }

  // ---- nghttp2's callbacks

  static Http2TestClient& Self(void* data) { return *static_cast<Http2TestClient*>(data); }
  static ssize_t ReadBody(nghttp2_session*, std::int32_t number, std::uint8_t* to, std::size_t most, std::uint32_t* flags,
                          nghttp2_data_source* source, void* data) {
    auto& body = *static_cast<Outgoing*>(source->ptr);
    if (std::size_t padding = Self(data).options_.padding_bytes; most > padding) most -= padding;  // there is room for it only then
    std::size_t part = std::min(most, body.text.size() - body.at);
    if (part == 0 && !body.ends) return NGHTTP2_ERR_DEFERRED;
    std::memcpy(to, body.text.data() + body.at, part);
    body.at += part;
    Self(data).answers_[number].sent_bytes += part;
    if (body.ends && body.at == body.text.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(part);
  }
  static ssize_t DataLength(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t connection_window, std::int32_t stream_window,
                            std::uint32_t frame_bytes_max, void* data) {
    return std::min<std::int64_t>(
        {connection_window, stream_window, frame_bytes_max, static_cast<std::int64_t>(Self(data).options_.frame_bytes)});
  }
  static ssize_t Padded(nghttp2_session*, const nghttp2_frame* frame, std::size_t most, void* data) {
    return static_cast<ssize_t>(std::min(most, frame->hd.length + Self(data).options_.padding_bytes));
  }
  static int Header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* data) {
    Answer& answer = Self(data).answers_[frame->hd.stream_id];
    auto& fields = frame->headers.cat == NGHTTP2_HCAT_HEADERS ? answer.trailers : answer.head;
    fields[{reinterpret_cast<const char*>(name), name_size}].assign(reinterpret_cast<const char*>(value), value_size);
    return 0;
  }
  static int Data(nghttp2_session* session, std::uint8_t, std::int32_t number, const std::uint8_t* bytes, std::size_t size, void* data) {
    Self(data).answers_[number].data.append(reinterpret_cast<const char*>(bytes), size);
    if (Self(data).options_.opens_windows) ::nghttp2_session_consume(session, number, size);
    return 0;
  }
  static int Frame(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    Http2TestClient& self = Self(data);
    self.frame_types_.push_back(frame->hd.type);
    bool may_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (may_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) self.answers_[frame->hd.stream_id].ended = true;
    if (frame->hd.type == NGHTTP2_RST_STREAM) self.answers_[frame->hd.stream_id].reset = frame->rst_stream.error_code;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK)) ++self.pongs_;
    if (frame->hd.type == NGHTTP2_GOAWAY)
      self.goaways_.push_back({frame->goaway.last_stream_id,
                               frame->goaway.error_code,
                               {reinterpret_cast<const char*>(frame->goaway.opaque_data), frame->goaway.opaque_data_len}});
    return 0;
  }
  static int Closed(nghttp2_session*, std::int32_t number, std::uint32_t error, void* data) {
    Self(data).answers_[number].closed = error;
    return 0;
  }

  const Http2ClientOptions options_;
  int fd_ = -1;
  SslContext context_;
  SslPtr ssl_;
  std::unique_ptr<nghttp2_session, Free> session_;
  std::map<std::int32_t, std::unique_ptr<Outgoing>> bodies_;
  std::map<std::int32_t, Answer> answers_;
  std::vector<Goaway> goaways_;
  std::vector<std::uint8_t> frame_types_;
  std::size_t pongs_ = 0;
  bool closed_ = false;
};

}  // namespace nereid::net

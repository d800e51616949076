// Loads a KServe v2 server over gRPC with one request again and again: closed loop, a fixed number of calls in flight. Prints JSON.
// On nghttp2, one thread: a gRPC client of the ordinary kind needs more CPU than the servers it would measure.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "net/out_queue.h"
#include "proto/grpc_service.pb.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kPrefixBytes = 5;
constexpr int kCallsOfConnection = 16;

[[noreturn]] void Fail(std::string_view what) {
  fmt::print(stderr, "{}\n", what);
  std::exit(1);
}

struct Call {
  Clock::time_point start;
  std::size_t sent = 0;
  std::size_t received = 0;
  std::string answer;  // of the first call
  bool ok = false;     // grpc-status: 0
};

// What all connections share.
struct Run {
  std::shared_ptr<const std::string> message;  // with its prefix
  std::size_t output_bytes;                    // of each output, at least
  Clock::time_point end;
  std::vector<double> latencies_ms;
  Clock::time_point last;
  std::size_t answer_bytes = 0;  // of the first answer, which was looked at; the others must be as long

  void Check(const Call& call) {
    if (!call.ok) Fail("an answer without grpc-status 0");
    if (answer_bytes == 0) {
      inference::ModelInferResponse response;
      if (call.answer.size() < kPrefixBytes ||
          !response.ParseFromArray(call.answer.data() + kPrefixBytes, static_cast<int>(call.answer.size() - kPrefixBytes)))
        Fail("an answer that is no ModelInferResponse");
      if (response.raw_output_contents_size() == 0) Fail("an answer without outputs");
      for (const std::string& output : response.raw_output_contents()) {
        if (output.size() != output_bytes) Fail("an output of the wrong size");
      }
      answer_bytes = call.received;
    }
    if (call.received != answer_bytes) Fail("an answer of another size than the first");
  }
};

class Connection {
 public:
  Connection(Run& run, const sockaddr_in& address, int calls)
      : run_(run), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), calls_(calls) {
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) Fail("cannot connect");
    int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    nghttp2_session_callbacks* callbacks = nullptr;
    ::nghttp2_session_callbacks_new(&callbacks);
    ::nghttp2_session_callbacks_set_on_header_callback(callbacks, Header);
    ::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Data);
    ::nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Closed);
    ::nghttp2_session_callbacks_set_send_callback(callbacks, Send);
    ::nghttp2_session_callbacks_set_send_data_callback(callbacks, SendData);
    ::nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, DataLength);
    ::nghttp2_session_client_new(&session_, callbacks, this);
    ::nghttp2_session_callbacks_del(callbacks);
    constexpr std::uint32_t kWindow = 8 << 20, kFrame = 1 << 20;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow}, {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrame}};
    ::nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
    ::nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kCallsOfConnection * static_cast<std::int32_t>(kWindow));
  }
  ~Connection() {
    ::nghttp2_session_del(session_);
    ::close(fd_);
  }

  void Begin() {
    for (int i = 0; i < calls_; ++i) Start();
    Flush();
  }
  bool idle() const { return open_.empty(); }
  pollfd Wanted() const { return {fd_, static_cast<short>(POLLIN | (out_.bytes() > 0 ? POLLOUT : 0)), 0}; }

  void Ready(short events, std::vector<char>& in) {
    if (events & (POLLIN | POLLHUP | POLLERR)) {
      ssize_t bytes = ::recv(fd_, in.data(), in.size(), MSG_DONTWAIT);
      if (bytes == 0 || (bytes < 0 && errno != EAGAIN)) Fail("the connection is lost");
      if (bytes > 0 &&
          ::nghttp2_session_mem_recv(session_, reinterpret_cast<std::uint8_t*>(in.data()), static_cast<std::size_t>(bytes)) < 0)
        Fail("what the server says is no HTTP/2");
    }
    Flush();
  }

 private:
  static Connection& Self(void* data) { return *static_cast<Connection*>(data); }

  void Start() {
    auto pair = [](std::string_view name, std::string_view value) {
      auto bytes = [](std::string_view text) { return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data())); };
      return nghttp2_nv{bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
    };
    nghttp2_nv head[] = {
        pair(":method", "POST"),         pair(":scheme", "http"), pair(":path", "/inference.GRPCInferenceService/ModelInfer"),
        pair(":authority", "localhost"), pair("te", "trailers"),  pair("content-type", "application/grpc")};
    auto call = std::make_unique<Call>();
    call->start = Clock::now();
    nghttp2_data_provider data{{.ptr = call.get()}, Offer};
    std::int32_t number = ::nghttp2_submit_request(session_, nullptr, head, std::size(head), &data, call.get());
    if (number < 0) Fail("nghttp2 takes no more requests");
    open_.emplace(number, std::move(call));
  }

  void Flush() {
    for (;;) {
      if (::nghttp2_session_send(session_) != 0) Fail("nghttp2 cannot send");
      if (out_.bytes() == 0) return;
      std::span<iovec> pieces = out_.Pieces();
      msghdr message{};
      message.msg_iov = pieces.data();
      message.msg_iovlen = pieces.size();
      ssize_t sent = ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) return;
      if (sent < 0) Fail("the connection is lost");
      out_.Sent(static_cast<std::size_t>(sent));
    }
  }

  static int Header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void*) {
    auto* call = static_cast<Call*>(::nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
    std::string_view what(reinterpret_cast<const char*>(name), name_size), text(reinterpret_cast<const char*>(value), value_size);
    if (call && what == "grpc-status") call->ok = text == "0";
    if (what == "grpc-message") fmt::print(stderr, "{}\n", text);
    return 0;
  }
  static int Data(nghttp2_session* session, std::uint8_t, std::int32_t number, const std::uint8_t* bytes, std::size_t size, void* data) {
    auto* call = static_cast<Call*>(::nghttp2_session_get_stream_user_data(session, number));
    call->received += size;
    if (Self(data).run_.answer_bytes == 0) call->answer.append(reinterpret_cast<const char*>(bytes), size);
    return 0;
  }
  static int Closed(nghttp2_session* session, std::int32_t number, std::uint32_t, void* data) {
    Connection& self = Self(data);
    auto* call = static_cast<Call*>(::nghttp2_session_get_stream_user_data(session, number));
    Clock::time_point now = Clock::now();
    self.run_.Check(*call);
    if (now < self.run_.end) {
      self.run_.latencies_ms.push_back(std::chrono::duration<double, std::milli>(now - call->start).count());
      self.run_.last = now;
      self.Start();
    }
    self.open_.erase(number);
    return 0;
  }
  static ssize_t Offer(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t most, std::uint32_t* flags, nghttp2_data_source* source,
                       void* data) {
    std::size_t left = Self(data).run_.message->size() - static_cast<Call*>(source->ptr)->sent;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left <= most) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(std::min(left, most));
  }
  static ssize_t Send(nghttp2_session*, const std::uint8_t* bytes, std::size_t size, int, void* data) {
    if (Self(data).out_.bytes() >= kOutMax) return NGHTTP2_ERR_WOULDBLOCK;
    Self(data).out_.Copy({reinterpret_cast<const char*>(bytes), size});
    return static_cast<ssize_t>(size);
  }
  static int SendData(nghttp2_session*, nghttp2_frame*, const std::uint8_t* head, std::size_t size, nghttp2_data_source* source,
                      void* data) {
    Connection& self = Self(data);
    if (self.out_.bytes() >= kOutMax) return NGHTTP2_ERR_WOULDBLOCK;
    constexpr std::size_t kFrameHead = 9;
    self.out_.Copy({reinterpret_cast<const char*>(head), kFrameHead});
    auto* call = static_cast<Call*>(source->ptr);
    std::string_view part = std::string_view(*self.run_.message).substr(call->sent, size);
    if (part.size() < 1024) self.out_.Copy(part);
    else self.out_.Borrow(self.run_.message, part);
    call->sent += size;
    return 0;
  }
  static ssize_t DataLength(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t connection_window, std::int32_t stream_window,
                            std::uint32_t frame_bytes_max, void*) {
    return std::min({static_cast<std::int64_t>(connection_window), static_cast<std::int64_t>(stream_window),
                     static_cast<std::int64_t>(frame_bytes_max), std::int64_t{1 << 20}});
  }

  static constexpr std::size_t kOutMax = 1 << 20;

  Run& run_;
  const int fd_, calls_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::unique_ptr<Call>> open_;
  nereid::net::OutQueue out_;
};

std::shared_ptr<const std::string> Message(const inference::ModelInferRequest& request) {
  std::string text(kPrefixBytes, '\0');
  request.AppendToString(&text);
  std::size_t length = text.size() - kPrefixBytes;
  for (int i = 0; i < 4; ++i) text[static_cast<std::size_t>(i) + 1] = static_cast<char>(length >> (24 - 8 * i));
  return std::make_shared<const std::string>(std::move(text));
}

}  // namespace

int main(int argc, char** argv) {
  int port = 0;
  std::string model, inputs = "INPUT0";
  int in_flight = 1, elements = 16;
  bool batched = false;
  double seconds = 2;
  CLI::App app("Loads a KServe v2 server over gRPC");
  app.add_option("port", port, "of 127.0.0.1")->required();
  app.add_option("model", model)->required();
  app.add_option("--inputs", inputs, "names, with commas");
  app.add_option("--elements", elements, "FP32 elements of each input");
  app.add_flag("--batched", batched, "the model has a batch dimension");
  app.add_option("-c", in_flight, "calls in flight");
  app.add_option("-d", seconds, "seconds");
  CLI11_PARSE(app, argc, argv);
  inference::ModelInferRequest request;
  request.set_model_name(model);
  std::vector<float> values(static_cast<std::size_t>(elements));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  for (const std::string& name : CLI::detail::split(inputs, ',')) {
    auto& input = *request.add_inputs();
    input.set_name(name);
    input.set_datatype("FP32");
    if (batched) input.add_shape(1);
    input.add_shape(elements);
    request.add_raw_input_contents(values.data(), values.size() * sizeof(float));
  }

  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Clock::time_point begin = Clock::now();
  Run run{.message = Message(request),
          .output_bytes = values.size() * sizeof(float),
          .end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)),
          .latencies_ms = {},
          .last = begin};
  std::vector<std::unique_ptr<Connection>> connections;
  for (int left = in_flight; left > 0; left -= kCallsOfConnection)
    connections.push_back(std::make_unique<Connection>(run, address, std::min(left, kCallsOfConnection)));
  for (auto& connection : connections) connection->Begin();
  std::vector<char> in(256 << 10);
  std::vector<pollfd> polled;
  while (!std::ranges::all_of(connections, [](const auto& each) { return each->idle(); })) {
    polled.clear();
    for (auto& connection : connections) polled.push_back(connection->Wanted());
    ::poll(polled.data(), polled.size(), -1);
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents != 0) connections[i]->Ready(polled[i].revents, in);
    }
  }
  auto& latencies = run.latencies_ms;
  if (latencies.empty()) Fail("no answer within the time");
  std::ranges::sort(latencies);
  auto at = [&](double share) { return latencies[static_cast<std::size_t>(share * static_cast<double>(latencies.size() - 1))]; };
  fmt::print("{{\"requests\":{},\"rps\":{:.1f},\"p50_ms\":{:.4f},\"p99_ms\":{:.4f},\"errors\":{{}}}}\n", latencies.size(),
             static_cast<double>(latencies.size()) / std::chrono::duration<double>(run.last - begin).count(), at(0.5), at(0.99));
}

#include "net/http2_connection.h"

#include <random>

#include "net/http_head.h"
#include "net/spawn.h"

namespace nereid::net {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::size_t kDirectMin = 32 << 10;  // from so much of a frame on, a read of its own is cheaper than a copy
constexpr std::size_t kOutMax = 1 << 20;      // bytes that the session hands over before the socket has taken some
constexpr std::size_t kCopyMax = 1024;        // of data: more is sent from where it lies
constexpr std::uint32_t kFrameBytesMax = 1 << 20;
constexpr std::int32_t kConnectionWindow = 64 << 20;  // bytes of all streams together; each has its own bound
constexpr Millis kLeaveWait{1000};                    // for the answer to the ping behind the first GOAWAY
constexpr Millis kLingerWait{1000}, kWriteWait{10};
constexpr std::uint64_t kResetBurst = 10'000, kResetsPerSecond = 1'000;
constexpr int kReadsInARow = 16;               // before other connections have their turn
constexpr std::size_t kFramesMax = 20'000;     // that wait to leave, but for data; some of each of the streams
constexpr std::size_t kLingerBytes = 1 << 20;  // read at the end, and thrown away

// Sent along to tell our pings from nothing.
constexpr std::uint8_t kLeavePing[8] = {'l', 'e', 'a', 'v', 'e'}, kAlivePing[8] = {'a', 'l', 'i', 'v', 'e'};

nghttp2_nv Pair(const HeaderField& field) {
  auto bytes = [](std::string_view text) { return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data())); };
  return {bytes(field.name), bytes(field.value), field.name.size(), field.value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::vector<nghttp2_nv> Pairs(std::span<const HeaderField> fields) {
  std::vector<nghttp2_nv> pairs;
  pairs.reserve(fields.size());
  for (const HeaderField& field : fields) pairs.push_back(Pair(field));
  return pairs;
}

// Connections of one age need not end at once.
Millis Jittered(Millis age) {
  static thread_local std::minstd_rand random(std::random_device{}());
  return Millis(age.count() * std::uniform_int_distribution<std::int64_t>(900, 1100)(random) / 1000);
}

}  // namespace

std::optional<std::string_view> Http2Stream::Header(std::string_view name) const {
  for (const HeaderField& field : headers()) {
    if (field.name == name) return field.value;
  }
  return std::nullopt;
}

class Http2Connection::OneStream final : public Http2Stream {
 public:
  OneStream(Http2Connection& connection, std::int32_t number) : connection_(connection), number_(number) {}

  std::span<const HeaderField> headers() const override { return headers_; }
  void Respond(std::span<const HeaderField> head, bool ends) override;
  void Write(Piece piece) override;
  void End(std::span<const HeaderField> trailers) override;
  void Consume(std::size_t bytes) override;

  // ---- the connection's side

  bool AddHeader(std::string_view name, std::string_view value);
  void HeadIsWhole();
  // How much of the data can go now, at most `most`; nothing: none until more is written.
  std::optional<std::size_t> Offer(std::size_t most, bool& last);
  void MoveTo(OutQueue& out, std::size_t bytes, bool copy);

  Http2Connection& connection_;
  const std::int32_t number_;
  std::list<OneStream>::iterator place_;
  std::shared_ptr<Http2Receiver> receiver_;
  std::size_t unconsumed_ = 0;
  bool request_ended_ = false;

 private:
  std::string text_;
  std::vector<std::size_t> ends_;  // of names and values in text_
  std::vector<HeaderField> headers_;

  bool SubmitTrailers();

  bool responded_ = false, ended_ = false, data_moved_ = false, trailers_submitted_ = false;
  std::deque<Piece> data_;
  std::size_t data_bytes_ = 0;
  std::string trailer_text_;
  std::vector<HeaderField> trailers_;  // views into trailer_text_
};

// ---------------------------------------------------------------- streams

bool Http2Connection::OneStream::AddHeader(std::string_view name, std::string_view value) {
  constexpr std::size_t kOverhead = 32;  // RFC 9113 6.5.2
  std::size_t bytes = text_.size() + name.size() + value.size() + (ends_.size() / 2 + 1) * kOverhead;
  if (bytes > connection_.options_.head_bytes_max) return false;
  text_ += name;
  ends_.push_back(text_.size());
  text_ += value;
  ends_.push_back(text_.size());
  return true;
}

void Http2Connection::OneStream::HeadIsWhole() {
  std::string_view text = text_;
  std::size_t at = 0;
  for (std::size_t i = 0; i + 1 < ends_.size(); i += 2) {
    headers_.push_back({text.substr(at, ends_[i] - at), text.substr(ends_[i], ends_[i + 1] - ends_[i])});
    at = ends_[i + 1];
  }
}

void Http2Connection::OneStream::Respond(std::span<const HeaderField> head, bool ends) {
  if (std::exchange(responded_, true)) return;
  ended_ = ends;
  std::vector<nghttp2_nv> pairs = Pairs(head);
  nghttp2_data_provider data{{.ptr = this}, nullptr};
  data.read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t most, std::uint32_t* flags,
                          nghttp2_data_source* source, void*) -> ssize_t {
    auto& stream = *static_cast<OneStream*>(source->ptr);
    bool last = false;
    auto offered = stream.Offer(most, last);
    if (!offered) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (last) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!stream.trailers_.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (!stream.SubmitTrailers()) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
      }
    }
    return static_cast<ssize_t>(*offered);
  };
  ::nghttp2_submit_response(connection_.session_.get(), number_, pairs.data(), pairs.size(), ends ? nullptr : &data);
  connection_.FlushSoon();
}

void Http2Connection::OneStream::Write(Piece piece) {
  if (!responded_ || ended_ || piece.bytes.empty()) return;
  data_bytes_ += piece.bytes.size();
  data_.push_back(std::move(piece));
  ::nghttp2_session_resume_data(connection_.session_.get(), number_);
  connection_.FlushSoon();
}

void Http2Connection::OneStream::End(std::span<const HeaderField> trailers) {
  if (!responded_ || std::exchange(ended_, true)) return;
  for (const HeaderField& field : trailers) trailer_text_.append(field.name).append(field.value);
  std::string_view text = trailer_text_;
  for (const HeaderField& field : trailers) {
    trailers_.push_back({text.substr(0, field.name.size()), text.substr(field.name.size(), field.value.size())});
    text.remove_prefix(field.name.size() + field.value.size());
  }
  // Not behind data: nghttp2 would wait for room in the window even to say that there are no more.
  if (data_moved_ && data_bytes_ == 0 && !trailers_.empty()) SubmitTrailers();
  else ::nghttp2_session_resume_data(connection_.session_.get(), number_);
  connection_.FlushSoon();
}

bool Http2Connection::OneStream::SubmitTrailers() {
  trailers_submitted_ = true;
  std::vector<nghttp2_nv> trailers = Pairs(trailers_);
  return ::nghttp2_submit_trailer(connection_.session_.get(), number_, trailers.data(), trailers.size()) == 0;
}

void Http2Connection::OneStream::Consume(std::size_t bytes) {
  unconsumed_ -= bytes;
  ::nghttp2_session_consume(connection_.session_.get(), number_, bytes);
  connection_.FlushSoon();
}

std::optional<std::size_t> Http2Connection::OneStream::Offer(std::size_t most, bool& last) {
  if (data_bytes_ == 0 && (!ended_ || trailers_submitted_)) return std::nullopt;
  std::size_t bytes = std::min(most, data_bytes_);
  last = ended_ && bytes == data_bytes_;
  return bytes;
}

void Http2Connection::OneStream::MoveTo(OutQueue& out, std::size_t bytes, bool copy) {
  data_bytes_ -= bytes;
  data_moved_ = true;
  for (std::size_t left = bytes; left > 0;) {
    Piece& piece = data_.front();
    std::string_view part = piece.bytes.substr(0, left);
    if (copy || part.size() <= kCopyMax) out.Copy(part);
    else out.Borrow(piece.owner, part);
    left -= part.size();
    piece.bytes.remove_prefix(part.size());
    if (piece.bytes.empty()) data_.pop_front();
  }
  if (receiver_ && bytes > 0) receiver_->OnSent(bytes);
}

// ---------------------------------------------------------------- nghttp2's callbacks

struct Http2Connection::Callbacks {
  static Http2Connection& Self(void* data) { return *static_cast<Http2Connection*>(data); }
  static OneStream* Find(nghttp2_session* session, std::int32_t number) {
    return static_cast<OneStream*>(::nghttp2_session_get_stream_user_data(session, number));
  }

  static int BeginFrame(nghttp2_session* session, const nghttp2_frame_hd* head, void* data) {
    Http2Connection& self = Self(data);
    bool plain = head->type == NGHTTP2_DATA && !(head->flags & NGHTTP2_FLAG_PADDED);
    self.sender_ = plain ? Find(session, head->stream_id) : nullptr;
    self.frame_left_ = head->length;
    return 0;
  }

  static int BeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* data) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Http2Connection& self = Self(data);
    OneStream& stream = self.streams_.emplace_back(self, frame->hd.stream_id);
    stream.place_ = std::prev(self.streams_.end());
    ::nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, &stream);
    return 0;
  }

  static int Header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void*) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    OneStream* stream = Find(session, frame->hd.stream_id);
    auto text = [](const std::uint8_t* bytes, std::size_t size) { return std::string_view(reinterpret_cast<const char*>(bytes), size); };
    // Resets the stream.
    return stream && !stream->AddHeader(text(name, name_size), text(value, value_size)) ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
  }

  static int Frame(nghttp2_session* session, const nghttp2_frame* frame, void* data) {
    Http2Connection& self = Self(data);
    self.greeted_ = true;
    if (frame->hd.type == NGHTTP2_PING) {
      if (!(frame->hd.flags & NGHTTP2_FLAG_ACK)) self.OnPing();
      else if (std::memcmp(frame->ping.opaque_data, kLeavePing, sizeof kLeavePing) == 0) self.SendLastGoaway();
      else self.ping_sent_ = {};
      return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    OneStream* stream = Find(session, frame->hd.stream_id);
    if (!stream) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) self.Accept(*stream);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
      stream->request_ended_ = true;
      if (stream->receiver_) stream->receiver_->OnEnd();
    }
    return 0;
  }

  static int DataChunk(nghttp2_session* session, std::uint8_t, std::int32_t number, const std::uint8_t* bytes, std::size_t size,
                       void* data) {
    OneStream* stream = Find(session, number);
    Self(data).frame_left_ -= size;
    Self(data).data_end_ = bytes + size;
    if (!stream) {
      ::nghttp2_session_consume(session, number, size);
      return 0;
    }
    stream->unconsumed_ += size;
    if (stream->receiver_) stream->receiver_->OnData({reinterpret_cast<const char*>(bytes), size});
    else stream->Consume(size);
    return 0;
  }

  static int FrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* data) {
    if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
      Self(data).strikes_ = 0;
      Self(data).client_ping_ = {};
    }
    // Not together with it: nghttp2 would send the ping first, and the answer would say nothing.
    if (frame->hd.type == NGHTTP2_GOAWAY && Self(data).leave_at_ != SteadyTime::max())
      ::nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, kLeavePing);
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    OneStream* stream = Find(session, frame->hd.stream_id);
    // The answer is out: what the client would still send is not wanted (RFC 9113 8.1).
    if (stream && !stream->request_ended_) ::nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
  }

  // Larger than nghttp2 sends: without a word the client would wait for it.
  static int FrameNotSent(nghttp2_session* session, const nghttp2_frame* frame, int error, void*) {
    if (frame->hd.type == NGHTTP2_HEADERS && error == NGHTTP2_ERR_FRAME_SIZE_ERROR)
      ::nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    return 0;
  }

  static int StreamClosed(nghttp2_session* session, std::int32_t number, std::uint32_t, void* data) {
    if (OneStream* stream = Find(session, number)) Self(data).Close(*stream);
    return 0;
  }

  static ssize_t Send(nghttp2_session*, const std::uint8_t* bytes, std::size_t size, int, void* data) {
    Http2Connection& self = Self(data);
    if (self.out_.bytes() >= kOutMax) return NGHTTP2_ERR_WOULDBLOCK;
    self.out_.Copy({reinterpret_cast<const char*>(bytes), size});
    return static_cast<ssize_t>(size);
  }

  static int SendData(nghttp2_session*, nghttp2_frame*, const std::uint8_t* head, std::size_t size, nghttp2_data_source* source,
                      void* data) {
    constexpr std::size_t kFrameHead = 9;
    Http2Connection& self = Self(data);
    if (self.out_.bytes() >= kOutMax) return NGHTTP2_ERR_WOULDBLOCK;
    self.out_.Copy({reinterpret_cast<const char*>(head), kFrameHead});
    // A TLS record of its own for each piece would cost more than the copy.
    static_cast<OneStream*>(source->ptr)->MoveTo(self.out_, size, self.stream_.tls());
    return 0;
  }

  static ssize_t DataLength(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t connection_window, std::int32_t stream_window,
                            std::uint32_t frame_bytes_max, void*) {
    return std::min({static_cast<std::int64_t>(connection_window), static_cast<std::int64_t>(stream_window),
                     static_cast<std::int64_t>(frame_bytes_max), static_cast<std::int64_t>(kFrameBytesMax)});
  }

  static nghttp2_session_callbacks* All() {
    static nghttp2_session_callbacks* all = [] {
      nghttp2_session_callbacks* made = nullptr;
      NEREID_CHECK(::nghttp2_session_callbacks_new(&made) == 0);
      ::nghttp2_session_callbacks_set_on_begin_frame_callback(made, BeginFrame);
      ::nghttp2_session_callbacks_set_on_begin_headers_callback(made, BeginHeaders);
      ::nghttp2_session_callbacks_set_on_header_callback(made, Header);
      ::nghttp2_session_callbacks_set_on_frame_recv_callback(made, Frame);
      ::nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, DataChunk);
      ::nghttp2_session_callbacks_set_on_frame_send_callback(made, FrameSent);
      ::nghttp2_session_callbacks_set_on_frame_not_send_callback(made, FrameNotSent);
      ::nghttp2_session_callbacks_set_on_stream_close_callback(made, StreamClosed);
      ::nghttp2_session_callbacks_set_send_callback(made, Send);
      ::nghttp2_session_callbacks_set_send_data_callback(made, SendData);
      ::nghttp2_session_callbacks_set_data_source_read_length_callback(made, DataLength);
      return made;
    }();
    return all;
  }
};

// ---------------------------------------------------------------- the connection

Http2Lane::Http2Lane(std::shared_ptr<const Http2Host> all, int number, Executor home)
    : host(std::move(all)), thread(number), executor(home), in(kReadBytes) {}

std::shared_ptr<Connection> Http2Lane::Connect(PolledSocket socket, std::string) {
  return std::make_shared<Http2Connection>(*this, std::move(socket));
}

Http2Connection::Http2Connection(Http2Lane& lane, PolledSocket socket)
    : lane_(lane),
      options_(lane.host->options),
      stream_(std::move(socket)),
      began_(std::chrono::steady_clock::now()),
      heard_(began_),
      deadline_(began_ + options_.handshake_timeout) {
  if (options_.age_max > Millis(0)) age_limit_ = began_ + Jittered(options_.age_max);
}

Http2Connection::~Http2Connection() = default;

void Http2Connection::StartSession() {
  nghttp2_option* option = nullptr;
  NEREID_CHECK(::nghttp2_option_new(&option) == 0);
  ::nghttp2_option_set_no_auto_window_update(option, 1);
  ::nghttp2_option_set_no_closed_streams(option, 1);
  // Calls that are given up early are resets, too: the default of 33 a second is for browsers.
  ::nghttp2_option_set_stream_reset_rate_limit(option, kResetBurst, kResetsPerSecond);
  nghttp2_session* session = nullptr;
  NEREID_CHECK(::nghttp2_session_server_new2(&session, Callbacks::All(), this, option) == 0);
  ::nghttp2_option_del(option);
  session_.reset(session);
  nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.streams_max},
                                       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.window_bytes},
                                       {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameBytesMax},
                                       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(options_.head_bytes_max)},
                                       // No tree of dependencies, which gRPC's clients do not use.
                                       {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
  ::nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  ::nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

Task<Nothing> Http2Connection::Run() {
  if (lane_.host->tls) CO_TRY_DO(co_await stream_.Accept(lane_.host->tls.get()));
  StartSession();
  if (leaving_) {  // told to stop during the handshake
    leaving_ = false;
    StopReading();
  }
  Flush();
  PolledSocket& socket = stream_.socket();
  for (int reads = 0; !over_ && socket.open();) {  // a closed socket's number may be another connection's already
    std::span<char> room = Room();
    auto done = stream_.Read(room.data(), room.size());
    if (done.need != Need::kNone) {
      reads = 0;
      // TLS may have to write before it reads on, new keys for example. When WriteOn waits for that already, it is looked at again soon.
      bool on = done.need == Need::kWrite && writing_ ? (co_await SleepUntil(std::chrono::steady_clock::now() + kWriteWait)).has_value()
                                                      : co_await socket.Wait(done.need);
      if (!on) break;
      continue;
    }
    if (done.bytes == 0) break;
    heard_ = std::chrono::steady_clock::now();
    if (!Take(room.first(done.bytes))) break;  // no HTTP/2 at all, or out of memory
    if (greeted_ && !writing_) deadline_ = SteadyTime::max();
    Flush();
    // A client that takes nothing can still ask for much: for a reset of each stream that it opens beyond the bound, for example.
    if (::nghttp2_session_get_outbound_queue_size(session_.get()) > kFramesMax) break;
    if (++reads % kReadsInARow == 0) co_await asio::post(lane_.executor, kAwait);
  }
  while (!streams_.empty()) Close(streams_.front());
  if (over_ && socket.open()) co_await Linger();
  stream_.Close();
  co_return Nothing{};
}

std::span<char> Http2Connection::Room() {
  if (sender_ && frame_left_ >= kDirectMin && sender_->receiver_) {
    std::span<char> room = sender_->receiver_->Room();
    if (room.size() >= kDirectMin) return room.first(std::min(room.size(), frame_left_));
  }
  return lane_.in;
}

bool Http2Connection::Take(std::span<char> received) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(received.data());
  // They may lie in its room, and its stream may end on the way.
  std::shared_ptr<Http2Receiver> receiver = sender_ ? sender_->receiver_ : nullptr;
  data_end_ = nullptr;
  receiving_ = true;
  auto used = ::nghttp2_session_mem_recv(session_.get(), bytes, received.size());
  receiving_ = false;
  // nghttp2 may ignore a frame, or the rest of it: then it is not known how much is left.
  if (data_end_ != bytes + received.size()) sender_ = nullptr;
  return used >= 0;
}

// Closing with unread bytes resets the connection, and the reset can overtake the last answer.
Task<Nothing> Http2Connection::Linger() {
  deadline_ = std::chrono::steady_clock::now() + kLingerWait;
  stream_.EndWriting();
  std::size_t bytes = 0;
  for (int reads = 1; bytes < kLingerBytes && stream_.socket().open(); ++reads) {
    auto done = stream_.Read(lane_.in.data(), lane_.in.size());
    if (done.need == Need::kNone && done.bytes == 0) break;
    if (done.need != Need::kNone && !co_await stream_.socket().Wait(done.need)) break;
    bytes += done.bytes;
    if (reads % kReadsInARow == 0) co_await asio::post(lane_.executor, kAwait);
  }
  co_return Nothing{};
}

void Http2Connection::FlushSoon() {
  if (receiving_ || std::exchange(flush_posted_, true)) return;
  asio::post(lane_.executor, [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->Flush();
  });
}

void Http2Connection::Flush() {
  if (!session_ || writing_ || over_ || !stream_.socket().open()) return;
  for (;;) {
    if (::nghttp2_session_send(session_.get()) != 0) return Cut();
    if (out_.bytes() == 0) break;
    while (out_.bytes() > 0) {
      std::span<iovec> pieces = out_.Pieces();
      auto done = stream_.WriteAll(pieces);
      out_.Sent(done.bytes);
      if (done.error != 0) return Cut();
      if (done.need == Need::kNone) continue;
      writing_ = true;
      deadline_ = std::chrono::steady_clock::now() + options_.write_timeout;
      Spawn(lane_.executor, WriteOn(shared_from_this()), [](auto) {});
      return;
    }
  }
  if (!::nghttp2_session_want_read(session_.get()) && !::nghttp2_session_want_write(session_.get())) {
    over_ = true;
    stream_.socket().CancelWaits();
  }
}

Task<Nothing> Http2Connection::WriteOn(std::shared_ptr<Http2Connection> self) {
  bool ready = co_await stream_.socket().Wait(Need::kWrite);
  writing_ = false;
  deadline_ = SteadyTime::max();
  if (ready) Flush();
  co_return Nothing{};
}

void Http2Connection::Accept(OneStream& stream) {
  stream.HeadIsWhole();
  stream.receiver_ = lane_.host->handler(stream, lane_.thread, lane_.executor);
}

void Http2Connection::Close(OneStream& stream) {
  std::shared_ptr<Http2Receiver> receiver = std::move(stream.receiver_);
  if (sender_ == &stream) sender_ = nullptr;
  ::nghttp2_session_set_stream_user_data(session_.get(), stream.number_, nullptr);
  if (stream.unconsumed_ > 0) ::nghttp2_session_consume_connection(session_.get(), stream.unconsumed_);
  streams_.erase(stream.place_);
  if (receiver) receiver->OnClose();
}

// ---------------------------------------------------------------- time

void Http2Connection::Tick(SteadyTime now) {
  if (now >= deadline_ || now >= cut_at_) return Cut();
  if (!session_) return;
  CheckAge(now);
  CheckAlive(now);
  // A receiver may end its stream, which closes it only in Flush.
  for (OneStream& stream : streams_) {
    if (stream.receiver_) stream.receiver_->OnTick(now);
  }
}

void Http2Connection::CheckAlive(SteadyTime now) {
  if (ping_sent_ != SteadyTime{}) {
    if (now - ping_sent_ >= options_.ping_timeout) Cut();
    return;
  }
  if (now - heard_ < options_.ping_after || (streams_.empty() && !options_.ping_without_streams)) return;
  ping_sent_ = now;
  ::nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, kAlivePing);
  FlushSoon();
}

void Http2Connection::CheckAge(SteadyTime now) {
  if (now >= age_limit_ && !leaving_) {
    if (options_.age_grace > Millis(0)) cut_at_ = now + options_.age_grace;
    StopReading();
  }
  if (now >= leave_at_) SendLastGoaway();
}

// gRPC's rule for pings: more often than the interval counts, unless something was sent in between; without streams two hours are
// the interval.
void Http2Connection::OnPing() {
  if (options_.ping_strikes_max == 0) return;
  SteadyTime now = std::chrono::steady_clock::now();
  Nanos interval = streams_.empty() && !options_.ping_without_streams ? Nanos(std::chrono::hours(2)) : Nanos(options_.ping_interval_min);
  if (client_ping_ == SteadyTime{} || now - client_ping_ >= interval) {
    client_ping_ = now;
  } else if (++strikes_ > options_.ping_strikes_max) {
    static constexpr std::string_view kWhy = "too_many_pings";
    ::nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, ::nghttp2_session_get_last_proc_stream_id(session_.get()),
                            NGHTTP2_ENHANCE_YOUR_CALM, reinterpret_cast<const std::uint8_t*>(kWhy.data()), kWhy.size());
    cut_at_ = now;  // at the next tick, when that is out
  }
}

// The client is told first and asked for a sign: what it has sent until then still counts.
void Http2Connection::StopReading() {
  if (std::exchange(leaving_, true) || !session_) return;
  leave_at_ = std::chrono::steady_clock::now() + kLeaveWait;
  ::nghttp2_submit_shutdown_notice(session_.get());
  FlushSoon();
}

void Http2Connection::SendLastGoaway() {
  if (leave_at_ == SteadyTime::max()) return;
  leave_at_ = SteadyTime::max();
  ::nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, ::nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR,
                          nullptr, 0);
  FlushSoon();
}

void Http2Connection::Cut() {
  stream_.socket().Close();
  signal().emit(asio::cancellation_type::terminal);
}

}  // namespace nereid::net

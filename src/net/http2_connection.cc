#include "net/http2_connection.h"

#include <random>

#include "net/http2_stream.h"
#include "net/spawn.h"

namespace nereid::net {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::size_t kDirectMin = 32 << 10;          // from so much of a frame on, a read of its own is cheaper than a copy
constexpr std::int32_t kConnectionWindow = 64 << 20;  // bytes of all streams together; each has its own bound
constexpr Millis kLeaveWait{1000};                    // for the answer to the ping behind the first GOAWAY
constexpr Millis kLingerWait{1000}, kWriteWait{10};
constexpr std::uint64_t kResetBurst = 10'000, kResetsPerSecond = 1'000;
constexpr int kReadsInARow = 16;               // before other connections have their turn
constexpr std::size_t kFramesMax = 20'000;     // that wait to leave, but for data; some of each of the streams
constexpr std::size_t kLingerBytes = 1 << 20;  // read at the end, and thrown away

// Connections of one age need not end at once.
Millis Jittered(Millis age) {
  static thread_local std::minstd_rand random(std::random_device{}());
  return Millis(age.count() * std::uniform_int_distribution<std::int64_t>(900, 1100)(random) / 1000);
}

}  // namespace

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
  NEREID_CHECK(::nghttp2_session_server_new2(&session, SessionCallbacks(), this, option) == 0);
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

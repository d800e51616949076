#include "grpc/call.h"

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "protocol/errors.h"

namespace nereid::grpc_front {
namespace {

constexpr Millis kStallMax{30'000};  // between two pieces of a message

constexpr net::HeaderField kContentType{"content-type", "application/grpc"};
constexpr net::HeaderField kAcceptEncoding{"grpc-accept-encoding", "identity,deflate,gzip"};

// What gRPC's own servers choose for a level.
net::Encoding EncodingFor(std::string_view level, std::string_view accepted) {
  bool gzip = accepted.find("gzip") != std::string_view::npos, deflate = accepted.find("deflate") != std::string_view::npos;
  if (level == "none" || (!gzip && !deflate)) return net::Encoding::kIdentity;
  return (level == "low" && gzip) || !deflate ? net::Encoding::kGzip : net::Encoding::kDeflate;
}

Deadline DeadlineOf(const net::Http2Stream& stream) {
  constexpr Nanos kLongest = std::chrono::hours(24 * 365);  // a far deadline is none
  auto text = stream.Header("grpc-timeout");
  auto timeout = text ? ParseTimeout(*text) : std::nullopt;
  if (!timeout || *timeout > kLongest) return Deadline();
  return Deadline::After(SystemClock().Steady(), *timeout);
}

}  // namespace

Call::Call(std::shared_ptr<const CallContext> shared, const Incoming& incoming, Splitter* splitter)
    : shared_(std::move(shared)),
      thread_(incoming.thread),
      executor_(incoming.executor),
      deadline_(DeadlineOf(incoming.stream)),
      stream_(&incoming.stream),
      reader_(shared_->budget, incoming.encoding, splitter) {}

// ---------------------------------------------------------------- in

void Call::OnData(std::string_view bytes) {
  unconsumed_ += bytes.size();
  data_came_ = true;
  if (kept_ && !ended_) Keep(std::exchange(bytes, {}));
  Deliver(bytes);
}

std::span<char> Call::Room() {
  return ended_ ? std::span<char>() : reader_.Room();
}

void Call::OnEnd() {
  half_closed_ = true;
  Deliver();
}

void Call::ReadOn() {
  net::asio::post(executor_, [self = shared_from_this()] { self->Deliver(); });
}

void Call::Deliver(std::string_view fresh) {
  if (std::exchange(delivering_, true)) return;  // a handler answers while it is told
  std::string_view rest = kept_ ? kept_->view().substr(kept_at_) : fresh;
  while (stream_ && !ended_ && Next(rest) && TakesMessage()) OnMessage(*std::exchange(next_, std::nullopt));
  delivering_ = false;
  if (!stream_) return;
  if (ended_ || rest.empty()) kept_.reset();
  else if (kept_) kept_at_ = kept_->size() - rest.size();
  else Keep(rest);
  if (!ended_ && (next_ || kept_)) return;
  if (unconsumed_ > 0) stream_->Consume(std::exchange(unconsumed_, 0));
  if (half_closed_ && !ended_ && !std::exchange(half_close_told_, true)) OnHalfClose();
}

bool Call::Next(std::string_view& bytes) {
  if (next_) return true;
  auto read = reader_.Next(bytes);
  if (read) next_ = *std::move(read);
  else GiveUpWith(std::move(read).error());
  return next_.has_value();
}

void Call::Keep(std::string_view bytes) {
  if (!kept_) kept_.emplace(shared_->budget, kMessageBytesMax), kept_at_ = 0;
  if (auto kept = kept_->Append(bytes); !kept)
    GiveUpWith(Status{Code::kTooLarge, std::move(kept).error().message, "message_too_large", ""});
}

// ---------------------------------------------------------------- out

void Call::MayCompress() {
  compression_ = EncodingFor(shared_->compression, stream_->Header("grpc-accept-encoding").value_or(""));
}

std::size_t Call::Send(Message message) {
  if (compression_ != net::Encoding::kIdentity) message = Compressed(std::move(message), compression_);
  std::size_t size = message.size();
  {
    std::lock_guard lock(mutex_);
    if (finished_) return 0;
    outbox_.push_back(std::move(message));
  }
  SendAll();
  return size;
}

void Call::FinishWith(Message message) {
  if (compression_ != net::Encoding::kIdentity) message = Compressed(std::move(message), compression_);
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(finished_, true)) return;
    outbox_.push_back(std::move(message));
  }
  SendAll();
}

void Call::Finish(std::optional<Status> error) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(finished_, true)) return;
    error_ = std::move(error);
  }
  SendAll();
}

void Call::SendAll() {
  if (net::IoThreads::CurrentIndex() != thread_) {
    std::lock_guard lock(mutex_);
    if (std::exchange(send_posted_, true)) return;
    net::asio::post(executor_, [self = shared_from_this()] { self->SendAll(); });
    return;
  }
  std::vector<Message> messages;
  bool finished = false;
  {
    std::lock_guard lock(mutex_);
    send_posted_ = false;
    messages.swap(outbox_);
    finished = finished_;
  }
  if (!stream_ || ended_) return;
  if (!messages.empty() && !std::exchange(responded_, true)) Respond(false);
  for (Message& message : messages) {
    for (net::Piece& piece : message.pieces) stream_->Write(std::move(piece));
  }
  if (!finished) return;
  ended_ = true;
  Respond(true);
}

// The head of the answer, or its end.
void Call::Respond(bool ends) {
  std::vector<net::HeaderField> fields;
  std::string code, text;
  if (!responded_ || !ends) {
    fields = {{":status", "200"}, kContentType, kAcceptEncoding};
    if (compression_ != net::Encoding::kIdentity) fields.push_back({"grpc-encoding", net::EncodingName(compression_)});
  }
  if (ends) {
    // Written before finished_ was, and never again.
    code = std::to_string(error_ ? protocol::WireErrorOf(*error_).grpc : 0);
    fields.push_back({"grpc-status", code});
    if (error_) text = PercentEncode(error_->message);
    if (!text.empty()) fields.push_back({"grpc-message", text});
  }
  if (ends && responded_) stream_->End(fields);
  else stream_->Respond(fields, ends);
}

// ---------------------------------------------------------------- ends

void Call::GiveUp() {
  Cancel();
  OnGone();
}

void Call::GiveUpWith(Status why) {
  Finish(std::move(why));
  GiveUp();
}

void Call::GiveUpSoon() {
  net::asio::post(executor_, [self = shared_from_this()] { self->GiveUp(); });
}

void Call::OnTick(SteadyTime now) {
  if (ended_) return;
  if (std::exchange(data_came_, false) || !reader_.midway()) moved_ = now;
  if (deadline_.Passed(now)) GiveUpWith(Status{Code::kDeadlineExceeded, "Deadline Exceeded", "deadline", ""});
  else if (now - moved_ > kStallMax) GiveUpWith(Status{Code::kDeadlineExceeded, "the rest of a message did not come", "stalled", ""});
}

void Call::OnClose() {
  stream_ = nullptr;
  next_.reset();
  kept_.reset();
  if (!ended_) return GiveUp();
  OnGone();
}

}  // namespace nereid::grpc_front

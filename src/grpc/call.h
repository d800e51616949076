// One call: an HTTP/2 stream with gRPC's messages on it. Handlers see messages, and a way to answer.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "grpc/context.h"
#include "grpc/framing.h"
#include "net/http2_server.h"

namespace nereid::grpc_front {

// What a call begins with.
struct Incoming {
  net::Http2Stream& stream;
  int thread;
  net::Executor executor;
  net::Encoding encoding;  // of the client's messages
};

class Call : public net::Http2Receiver, public std::enable_shared_from_this<Call> {
 public:
  // `splitter` may be null; it is used while there are messages.
  Call(std::shared_ptr<const CallContext> shared, const Incoming& incoming, Splitter* splitter = nullptr);

  void OnData(std::string_view bytes) final;
  std::span<char> Room() final;
  void OnEnd() final;
  void OnSent(std::size_t) override {}
  void OnTick(SteadyTime now) final;
  void OnClose() final;

 protected:
  // ---- for the handler: on the call's io thread

  virtual void OnMessage(Received message) = 0;
  // While false, messages wait, and at last the client; ReadOn when that has changed.
  virtual bool TakesMessage() { return true; }
  // No further message comes.
  virtual void OnHalfClose() = 0;
  // Nobody listens any more; may come twice. Unless the answer is out, cancellation() is cancelled already.
  virtual void OnGone() {}

  // Within the calls above.
  Metadata metadata() const { return stream_->headers(); }
  int thread() const { return thread_; }

  // ---- of the handler: any thread

  const CallContext& shared() const { return *shared_; }
  Deadline deadline() const { return deadline_; }
  const Cancellation& cancellation() const { return cancellation_; }
  void Cancel() { cancellation_.Cancel(); }

  // Answers may be compressed, as the server is set up. Before the first Send.
  void MayCompress();
  // Go out in this order. Nothing happens after Finish, nor when the client has gone. Send answers how many bytes will be sent.
  std::size_t Send(Message message);
  void Finish(std::optional<Status> error = std::nullopt);
  void FinishWith(Message message);
  // These two not within the caller's frame, which may hold locks that a callback wants.
  void ReadOn();
  void GiveUpSoon();

 private:
  void GiveUp();
  void GiveUpWith(Status why);
  void SendAll();
  // Messages out of `fresh` and of what is kept, as long as the handler takes them; the rest is kept.
  void Deliver(std::string_view fresh = {});
  bool Next(std::string_view& bytes);
  void Keep(std::string_view bytes);
  void Respond(bool ends);

  const std::shared_ptr<const CallContext> shared_;
  const int thread_;
  const net::Executor executor_;
  Deadline deadline_;
  Cancellation cancellation_;
  net::Encoding compression_ = net::Encoding::kIdentity;

  // The io thread's.
  net::Http2Stream* stream_;  // until OnClose
  MessageReader reader_;
  std::optional<Received> next_;  // that the handler does not take yet
  // What comes behind it, as it came: apart, short messages would take many times the memory. Its end begins at kept_at_.
  std::optional<net::BodyBuffer> kept_;
  std::size_t kept_at_ = 0;
  std::size_t unconsumed_ = 0;
  bool half_closed_ = false, half_close_told_ = false, delivering_ = false, responded_ = false, ended_ = false;
  bool data_came_ = false;  // since the last tick
  SteadyTime moved_{};      // the last tick at which the client did not owe the rest of a message

  std::mutex mutex_;
  std::vector<Message> outbox_;  // guarded by mutex_
  bool finished_ = false;        // guarded by mutex_
  std::optional<Status> error_;  // guarded by mutex_; of Finish
  bool send_posted_ = false;     // guarded by mutex_
};

}  // namespace nereid::grpc_front

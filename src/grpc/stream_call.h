// ModelStreamInfer: requests of any models on one stream, and their responses as they come.
//
// Responses of models that are not decoupled leave in the order of their requests; those of decoupled ones at once. Reading stops at
// kRequestsMax open requests and beyond kQueuedBytesMax of responses; beyond that many on their way out a model is told to wait.
#pragma once

#include <deque>

#include "grpc/call.h"
#include "grpc/infer_request.h"
#include "grpc/tensor_splitter.h"

namespace nereid::grpc_front {

class StreamCall final : public Call {
 public:
  static constexpr std::size_t kRequestsMax = 256;
  static constexpr std::size_t kQueuedBytesMax = 1 << 20;

  StreamCall(std::shared_ptr<const CallContext> shared, const Incoming& incoming);

 private:
  class Slot;
  friend class Slot;

  void OnMessage(Received message) override;
  bool TakesMessage() override;
  void OnHalfClose() override;
  void OnGone() override;
  void OnSent(std::size_t bytes) override;

  Result<Nothing> Submit(const Received& message, std::string& client_id);
  Pushed Push(const std::shared_ptr<Slot>& slot, InferResponse&& response);
  void OnRoom(std::function<void()> wake);
  std::shared_ptr<StreamCall> Self() { return std::static_pointer_cast<StreamCall>(shared_from_this()); }

  // All below: mutex_ held.
  bool Takes() const;
  void Hold(Slot& slot, Message message);
  void Fail(const Status& status, const std::string& client_id);
  void Queue(Message message);
  void Release();  // what waits behind nothing any more
  void EndWhenDone();

  TensorSplitter splitter_;
  const bool real_errors_;  // triton_grpc_error: the first error ends the stream

  std::mutex mutex_;
  // Guarded by mutex_.
  std::deque<std::shared_ptr<Slot>> ordered_;  // open requests of models that are not decoupled, oldest first
  std::size_t outgoing_bytes_ = 0;             // sent and not out yet
  std::size_t held_bytes_ = 0;                 // that wait for their turn
  std::size_t open_requests_ = 0;
  std::vector<std::function<void()>> waiting_for_room_;
  bool half_closed_ = false, ended_ = false;  // ended_: nobody listens any more
};

}  // namespace nereid::grpc_front

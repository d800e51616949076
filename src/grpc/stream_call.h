// ModelStreamInfer: requests of any models on one stream, and their responses as they come.
//
// Responses of models that are not decoupled leave in the order of their requests; those of decoupled ones at once. One read and one
// write are under way at a time. Reading stops at kRequestsMax open requests, and a model is told to wait beyond kQueuedBytesMax.
#pragma once

#include <deque>

#include "grpc/generic_call.h"
#include "grpc/infer_request.h"

namespace nereid::grpc_front {

class StreamCall final : public std::enable_shared_from_this<StreamCall> {
 public:
  static constexpr std::size_t kRequestsMax = 256;
  static constexpr std::size_t kQueuedBytesMax = 1 << 20;

  StreamCall(std::shared_ptr<GenericExchange> exchange, CallContext& shared) : exchange_(std::move(exchange)), shared_(shared) {}
  // On gRPC's thread, after the call was accepted.
  static void Begin(std::shared_ptr<GenericExchange> exchange, CallContext& shared);

 private:
  class Slot;
  friend class Slot;

  void Ended(bool);
  void HasMessage(bool ok);
  void Written(bool ok);

  Result<Nothing> Submit(std::string& client_id);
  Pushed Push(const std::shared_ptr<Slot>& slot, InferResponse&& response);
  void OnRoom(std::function<void()> wake);

  // All below: mutex_ held.
  void Fail(const Status& status, const std::string& client_id);
  void Queue(const grpc::ByteBuffer& message);
  void Release();  // what waits behind nothing any more
  void ReadNext();
  void WriteNext();

  std::shared_ptr<GenericExchange> exchange_;
  CallContext& shared_;
  Cancellation cancellation_;  // of all requests
  bool real_errors_ = false;   // set at the beginning: triton_grpc_error
  grpc::ByteBuffer incoming_;  // gRPC's thread only

  std::mutex mutex_;
  // Guarded by mutex_.
  std::deque<std::shared_ptr<Slot>> ordered_;  // open requests of models that are not decoupled, oldest first
  std::deque<grpc::ByteBuffer> outgoing_;
  std::size_t outgoing_bytes_ = 0;
  std::size_t open_requests_ = 0;
  std::vector<std::function<void()>> waiting_for_room_;
  bool reading_ = false, writing_ = false, half_closed_ = false, broken_ = false, finished_ = false;
  std::optional<Status> end_with_;
};

}  // namespace nereid::grpc_front

// ModelInfer: one tensor request, from its bytes to its answer.
#pragma once

#include "grpc/call.h"
#include "grpc/infer_request.h"
#include "grpc/tensor_splitter.h"

namespace nereid::grpc_front {

class InferCall final : public Call, public InferReceiver {
 public:
  InferCall(std::shared_ptr<const CallContext> shared, const Incoming& incoming);

  // Any thread. The answer leaves on the thread that brings the final response.
  Pushed Push(InferResponse&& response) override;
  void OnRoom(std::function<void()> wake) override { wake(); }

 private:
  void OnMessage(Received message) override;
  void OnHalfClose() override;
  Result<Nothing> Begin(const Received& message);
  void Answer(Result<Message> answer);
  Result<Message> Render(InferResponse response);

  TensorSplitter splitter_;
  bool begun_ = false;
  // Set before Submit, then read by whoever pushes.
  AnswerOptions options_;
  std::shared_ptr<const ModelInfo> model_;

  std::mutex mutex_;
  std::optional<InferResponse> held_;  // guarded by mutex_; a response that came before the final mark
  bool surplus_ = false;               // guarded by mutex_
};

}  // namespace nereid::grpc_front

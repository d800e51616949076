#include "grpc/stream_call.h"

#include "grpc/infer_response.h"
#include "grpc/status.h"

namespace nereid::grpc_front {

// One request of the stream, and the receiving end of its responses.
class StreamCall::Slot final : public InferReceiver, public std::enable_shared_from_this<Slot> {
 public:
  Slot(std::shared_ptr<StreamCall> call, std::shared_ptr<const ModelInfo> model, std::string client_id, AnswerOptions options)
      : call_(std::move(call)),
        model_(std::move(model)),
        client_id_(std::move(client_id)),
        options_(std::move(options)),
        ordered_(!model_ || !model_->decoupled) {}

  Pushed Push(InferResponse&& response) override { return call_->Push(shared_from_this(), std::move(response)); }
  void OnRoom(std::function<void()> wake) override { call_->OnRoom(std::move(wake)); }

  bool ordered() const { return ordered_; }

  // The messages of `response`: none for a bare final mark that nobody asked for.
  std::optional<grpc::ByteBuffer> Render(InferResponse&& response) const {
    StreamMark mark{response.final};
    if (response.error) return RenderStreamError(*response.error, client_id_, model_->name, mark);
    if (response.empty)
      return options_.empty_final_response ? std::optional(RenderStreamEnd(client_id_, model_->name, options_.requested_version))
                                           : std::nullopt;
    if (!options_.classifications.empty()) {
      if (auto classified = ClassifyOutputs(options_, *model_, response); !classified)
        return RenderStreamError(classified.error(), client_id_, model_->name, mark);
    }
    auto rendered = RenderStreamResponse(response, mark);
    return rendered ? *std::move(rendered) : RenderStreamError(rendered.error(), client_id_, model_->name, mark);
  }

  // Guarded by the call's mutex.
  std::vector<grpc::ByteBuffer> held;
  bool done = false;

 private:
  const std::shared_ptr<StreamCall> call_;
  const std::shared_ptr<const ModelInfo> model_;
  const std::string client_id_;
  const AnswerOptions options_;
  const bool ordered_;
};

void StreamCall::Begin(std::shared_ptr<GenericExchange> exchange, CallContext& shared) {
  auto call = std::make_shared<StreamCall>(exchange, shared);
  exchange->ended.Arm<&StreamCall::Ended>(call);  // the queue's only thread is here, so it cannot have run yet
  const Metadata& metadata = exchange->context.client_metadata();
  auto real_errors = metadata.find("triton_grpc_error");
  call->real_errors_ = real_errors != metadata.end() && real_errors->second == "true";
  std::lock_guard lock(call->mutex_);
  call->ReadNext();
}

void StreamCall::ReadNext() {
  if (reading_ || half_closed_ || finished_ || end_with_ || open_requests_ >= kRequestsMax) return;
  reading_ = true;
  exchange_->stream.Read(&incoming_, exchange_->read.Arm<&StreamCall::HasMessage>(shared_from_this()));
}

void StreamCall::HasMessage(bool ok) {
  {
    std::lock_guard lock(mutex_);
    reading_ = false;
    half_closed_ = half_closed_ || !ok;
    if (ok && !end_with_) ++open_requests_;
    else ok = false;
  }
  std::string client_id;
  // Without the lock: a model may answer before Submit returns.
  Result<Nothing> submitted = ok ? Submit(client_id) : Nothing{};
  std::lock_guard lock(mutex_);
  if (!submitted) {
    --open_requests_;
    Fail(submitted.error(), client_id);
  }
  ReadNext();
  WriteNext();
}

Result<Nothing> StreamCall::Submit(std::string& client_id) {
  SteadyTime arrival = SystemClock().Steady();
  const Metadata& metadata = exchange_->context.client_metadata();
  RequestReader reader;
  TRY_DO(reader.Open(incoming_));
  client_id = reader.client_id();
  if (!shared_.access.Free(Category::kInference, false))
    TRY_DO(shared_.access.Check(Category::kInference, false, reader.model_name(), metadata));
  TRY(ModelRef ref, reader.Model());
  TRY(auto model, shared_.models.Find(ref));
  TRY(ParsedRequest parsed, reader.Take());
  shared_.forward.Apply(metadata, parsed.request.parameters);
  parsed.request.arrival = arrival;
  parsed.request.deadline = FromGrpc(exchange_->context.deadline());
  parsed.request.cancellation = cancellation_;
  auto slot = std::make_shared<Slot>(shared_from_this(), std::move(model), client_id, std::move(parsed.answer));
  if (slot->ordered()) {
    std::lock_guard lock(mutex_);
    ordered_.push_back(slot);
  }
  shared_.models.Submit(std::move(parsed.request), std::move(slot));
  return Nothing{};
}

Pushed StreamCall::Push(const std::shared_ptr<Slot>& slot, InferResponse&& response) {
  bool final = response.final;
  {
    std::lock_guard lock(mutex_);
    if (!final && (broken_ || finished_ || end_with_)) return Pushed::kGone;
    if (!final && outgoing_bytes_ > kQueuedBytesMax) return Pushed::kFull;
  }
  std::optional<Status> failure = real_errors_ ? response.error : std::nullopt;
  std::optional<grpc::ByteBuffer> message = slot->Render(std::move(response));
  std::lock_guard lock(mutex_);
  if (failure) Fail(*failure, {});
  else if (message && slot->ordered()) slot->held.push_back(*message);
  else if (message) Queue(*message);
  if (final) {
    slot->done = true;
    --open_requests_;
  }
  Release();
  ReadNext();
  WriteNext();
  return Pushed::kTaken;
}

void StreamCall::OnRoom(std::function<void()> wake) {
  {
    std::lock_guard lock(mutex_);
    if (outgoing_bytes_ > kQueuedBytesMax && !broken_ && !finished_ && !end_with_) {
      waiting_for_room_.push_back(std::move(wake));
      return;
    }
  }
  wake();
}

void StreamCall::Fail(const Status& status, const std::string& client_id) {
  if (end_with_ || finished_) return;
  if (real_errors_) {
    end_with_ = status;
    return;
  }
  // It takes its place behind the requests that came before.
  auto slot = std::make_shared<Slot>(shared_from_this(), nullptr, client_id, AnswerOptions{});
  slot->held.push_back(RenderStreamError(status, client_id, {}, std::nullopt));
  slot->done = true;
  ordered_.push_back(std::move(slot));
  Release();
}

void StreamCall::Queue(const grpc::ByteBuffer& message) {
  if (broken_ || finished_ || end_with_) return;
  outgoing_bytes_ += message.Length();
  outgoing_.push_back(message);
}

void StreamCall::Release() {
  while (!ordered_.empty()) {
    Slot& first = *ordered_.front();
    for (const grpc::ByteBuffer& message : first.held) Queue(message);
    first.held.clear();
    if (!first.done) return;
    ordered_.pop_front();
  }
}

void StreamCall::WriteNext() {
  if (writing_ || finished_) return;
  bool nothing_left = outgoing_.empty() && half_closed_ && open_requests_ == 0;
  if (!outgoing_.empty() && !broken_ && !end_with_) {
    writing_ = true;
    exchange_->stream.Write(outgoing_.front(), exchange_->written.Arm<&StreamCall::Written>(shared_from_this()));
  } else if (end_with_ || nothing_left || (broken_ && open_requests_ == 0)) {
    finished_ = true;
    grpc::Status status = end_with_ ? ToGrpc(*end_with_)
                          : broken_ ? grpc::Status(grpc::StatusCode::CANCELLED, "the client went away")
                                    : grpc::Status::OK;
    exchange_->stream.Finish(status, exchange_->written.Arm<&StreamCall::Written>(shared_from_this()));
    shared_.open.End();
  }
}

void StreamCall::Written(bool ok) {
  std::vector<std::function<void()>> wake;
  bool cancel = false;
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (finished_) {
      cancel = end_with_.has_value();
    } else {
      outgoing_bytes_ -= outgoing_.front().Length();
      outgoing_.pop_front();
      if (!ok) {
        broken_ = cancel = true;
        outgoing_.clear();
        outgoing_bytes_ = 0;
      }
      WriteNext();
    }
    if (outgoing_bytes_ <= kQueuedBytesMax / 2) wake.swap(waiting_for_room_);
  }
  if (cancel) cancellation_.Cancel();
  for (auto& callback : wake) callback();
}

void StreamCall::Ended(bool) {
  if (!exchange_->context.IsCancelled()) return;
  std::vector<std::function<void()>> wake;
  {
    std::lock_guard lock(mutex_);
    broken_ = true;
    half_closed_ = true;
    wake.swap(waiting_for_room_);
    WriteNext();
  }
  cancellation_.Cancel();
  for (auto& callback : wake) callback();
}

}  // namespace nereid::grpc_front

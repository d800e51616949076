#include "grpc/stream_call.h"

#include "grpc/infer_response.h"

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
  std::optional<Message> Render(InferResponse&& response) const {
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
  std::vector<Message> held;
  bool done = false;

 private:
  const std::shared_ptr<StreamCall> call_;
  const std::shared_ptr<const ModelInfo> model_;
  const std::string client_id_;
  const AnswerOptions options_;
  const bool ordered_;
};

StreamCall::StreamCall(std::shared_ptr<const CallContext> shared, const Incoming& incoming)
    : Call(std::move(shared), incoming, &splitter_),
      splitter_(InputMemoryFor(this->shared(), incoming.stream)),
      real_errors_(incoming.stream.Header("triton_grpc_error") == "true") {
  MayCompress();
}

bool StreamCall::TakesMessage() {
  std::lock_guard lock(mutex_);
  return Takes();
}

void StreamCall::OnMessage(Received message) {
  {
    std::lock_guard lock(mutex_);
    ++open_requests_;
  }
  std::string client_id;
  // Without the lock: a model may answer before Submit returns.
  auto submitted = Submit(message, client_id);
  if (submitted) return;
  std::lock_guard lock(mutex_);
  --open_requests_;
  Fail(submitted.error(), client_id);
}

void StreamCall::OnHalfClose() {
  std::lock_guard lock(mutex_);
  half_closed_ = true;
  EndWhenDone();
}

Result<Nothing> StreamCall::Submit(const Received& message, std::string& client_id) {
  SteadyTime arrival = SystemClock().Steady();
  RequestReader reader;
  TRY_DO(reader.Open(message));
  client_id = reader.client_id();
  if (!shared().access.Free(Category::kInference, false))
    TRY_DO(shared().access.Check(Category::kInference, false, reader.model_name(), metadata()));
  TRY(ModelRef ref, reader.Model());
  TRY(auto model, shared().models.Find(ref));
  TRY(ParsedRequest parsed, reader.Take());
  shared().forward.Apply(metadata(), parsed.request.parameters);
  parsed.request.arrival = arrival;
  parsed.request.deadline = deadline();
  parsed.request.cancellation = cancellation();
  parsed.request.home = thread();
  auto slot = std::make_shared<Slot>(Self(), std::move(model), client_id, std::move(parsed.answer));
  if (slot->ordered()) {
    std::lock_guard lock(mutex_);
    ordered_.push_back(slot);
  }
  shared().models.Submit(std::move(parsed.request), std::move(slot));
  return Nothing{};
}

Pushed StreamCall::Push(const std::shared_ptr<Slot>& slot, InferResponse&& response) {
  bool final = response.final;
  {
    std::lock_guard lock(mutex_);
    if (!final && (ended_ || cancellation().cancelled())) return Pushed::kGone;
    if (!final && outgoing_bytes_ > kQueuedBytesMax) return Pushed::kFull;
  }
  std::optional<Status> failure = real_errors_ ? response.error : std::nullopt;
  std::optional<Message> message = slot->Render(std::move(response));
  bool read_on = false;
  {
    std::lock_guard lock(mutex_);
    bool took = Takes();
    if (failure) Fail(*failure, {});
    else if (message && slot->ordered()) Hold(*slot, *std::move(message));
    else if (message) Queue(*std::move(message));
    if (final) {
      slot->done = true;
      --open_requests_;
    }
    Release();
    EndWhenDone();
    read_on = !took && Takes();
  }
  if (read_on) ReadOn();
  return Pushed::kTaken;
}

void StreamCall::OnRoom(std::function<void()> wake) {
  {
    std::lock_guard lock(mutex_);
    if (outgoing_bytes_ > kQueuedBytesMax && !ended_) {
      waiting_for_room_.push_back(std::move(wake));
      return;
    }
  }
  wake();
}

bool StreamCall::Takes() const {
  return !ended_ && open_requests_ < kRequestsMax && outgoing_bytes_ + held_bytes_ <= kQueuedBytesMax;
}

void StreamCall::Fail(const Status& status, const std::string& client_id) {
  if (ended_) return;
  if (real_errors_) {
    ended_ = true;
    Finish(status);
    GiveUpSoon();  // the other requests
    return;
  }
  // It takes its place behind the requests that came before.
  auto slot = std::make_shared<Slot>(Self(), nullptr, client_id, AnswerOptions{});
  Hold(*slot, RenderStreamError(status, client_id, {}, std::nullopt));
  slot->done = true;
  ordered_.push_back(std::move(slot));
  Release();
  EndWhenDone();
}

void StreamCall::Hold(Slot& slot, Message message) {
  held_bytes_ += message.size();
  slot.held.push_back(std::move(message));
}

void StreamCall::Queue(Message message) {
  if (ended_) return;
  outgoing_bytes_ += Send(std::move(message));
}

void StreamCall::Release() {
  while (!ordered_.empty()) {
    Slot& first = *ordered_.front();
    for (Message& message : first.held) {
      held_bytes_ -= message.size();
      Queue(std::move(message));
    }
    first.held.clear();
    if (!first.done) return;
    ordered_.pop_front();
  }
}

void StreamCall::EndWhenDone() {
  if (ended_ || !half_closed_ || open_requests_ > 0) return;
  ended_ = true;
  Finish();
}

void StreamCall::OnSent(std::size_t bytes) {
  std::vector<std::function<void()>> wake;
  bool read_on = false;
  {
    std::lock_guard lock(mutex_);
    bool took = Takes();
    outgoing_bytes_ -= std::min(bytes, outgoing_bytes_);
    if (outgoing_bytes_ <= kQueuedBytesMax / 2) wake.swap(waiting_for_room_);
    read_on = !took && Takes();
  }
  for (auto& callback : wake) callback();
  if (read_on) ReadOn();
}

void StreamCall::OnGone() {
  std::vector<std::function<void()>> wake;
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
    wake.swap(waiting_for_room_);
  }
  for (auto& callback : wake) callback();
}

}  // namespace nereid::grpc_front

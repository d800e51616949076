#include "backends/python/worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "backends/python/tender.h"
#include "base/log.h"

namespace nereid::python {
namespace {

constexpr Nanos kReadyLimit = std::chrono::seconds(5);
constexpr std::size_t kMoveBytes = 64 << 10;  // of a tensor whose memory is worth to be free sooner
constexpr Nanos kTrimEvery = std::chrono::seconds(5);
constexpr int kMessagesOfTurn = 256;  // then others on this thread have theirs

std::int64_t NowNanos() {
  return std::chrono::duration_cast<Nanos>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The event that the worker writes to say something about the request.
std::size_t EventOf(const InferRequest& request) {
  std::size_t number = static_cast<std::size_t>(request.home) + 1;  // 0 for none, which is -1
  return number < kEvents ? number : 0;
}

}  // namespace

// What other threads leave for the next turn: requests whose client has room again, or went away. Outlives the worker while they may call.
struct Worker::Told {
  std::mutex mutex;
  std::weak_ptr<Worker> worker;         // guarded by mutex
  std::vector<std::uint64_t> requests;  // guarded by mutex

  void Tell(std::uint64_t request) {
    std::lock_guard lock(mutex);
    auto alive = worker.lock();
    if (!alive) return;
    requests.push_back(request);
    ::eventfd_write(alive->event(), 1);  // the tender's turn: this may be called from within one
  }
};

// Who asked, until the answer is there.
struct Worker::Waiter {
  std::mutex mutex;
  std::condition_variable wake;
  std::optional<Result<Answer>> answer;  // guarded by mutex

  void Set(Result<Answer> value) {
    std::lock_guard lock(mutex);
    answer.emplace(std::move(value));
    wake.notify_all();
  }
};

Result<Nothing> Worker::MakeEvents() {
  std::size_t count = std::min<std::size_t>(1 + setup_.world.homes.size(), kEvents);
  for (std::size_t i = 0; i < count; ++i) {
    events_.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (events_.back().get() < 0)
      return Error(Code::kInternal, fmt::format("no event descriptor for a worker: {}", std::strerror(errno)), "no_descriptors");
  }
  for (std::size_t i = 1; i < count; ++i) {
    int watched = ::fcntl(events_[i].get(), F_DUPFD_CLOEXEC, 0);
    if (watched < 0) return Error(Code::kInternal, fmt::format("no descriptor for a worker: {}", std::strerror(errno)), "no_descriptors");
    watches_.push_back(setup_.world.homes[i - 1]->Watch(watched, [weak = weak_from_this(), i] {
      if (auto self = weak.lock()) self->OnEvent(i);
    }));
  }
  return Nothing{};
}

Result<std::shared_ptr<Worker>> Worker::Start(WorkerSetup setup, Tender& tender) {
  std::shared_ptr<Worker> self(new Worker(std::move(setup)));
  const WorkerSetup& set = self->setup_;
  TRY(self->channel_, Channel::Create(fmt::format("{}_{}", set.region_prefix, set.name), set.sizes));
  self->nested_ = std::make_shared<NestedCalls>(set.world, self->channel_);
  self->told_ = std::make_shared<Told>();
  self->told_->worker = self;
  self->open_.emplace(self->channel_->control(), *set.rules, set.decoupled,
                      [told = self->told_](std::uint64_t request) { told->Tell(request); });
  TRY_DO(self->MakeEvents());
  auto up = std::make_shared<Waiter>();
  self->calls_.push_back(Call{{}, NowNanos(), up, {}});
  std::vector<int> events;
  for (const Descriptor& event : self->events_) events.push_back(event.get());
  TRY(self->process_, Process::Start(set.command, *self->channel_, events));
  tender.Add(self);
  auto answer = self->Await(*up, set.start_limit);
  if (answer) return self;
  self->Kill("it did not answer");
  if (answer.error().reason == "worker_late")
    return Error(Code::kInternal,
                 fmt::format("the Python '{}' for '{}' did not answer within {:.0f} s (stub-timeout-seconds)", set.command.executable,
                             set.name, std::chrono::duration<double>(set.start_limit).count()),
                 "worker_late");
  return std::unexpected(std::move(answer).error());
}

Status Worker::Failed(std::string_view text, Code code) const {
  return {code, fmt::format("Failed to process the request(s) for model '{}', message: {}", setup_.name, text), "model_error", ""};
}

std::string Worker::end_text() const {
  std::lock_guard lock(end_mutex_);
  return end_text_;
}

bool Worker::AwaitEnd(Nanos limit) {
  std::unique_lock lock(end_mutex_);
  return end_wake_.wait_for(lock, limit, [this] { return ended(); });
}

void Worker::Kill(std::string why) {
  std::lock_guard lock(end_mutex_);
  if (kill_reason_.empty()) kill_reason_ = std::move(why);
  if (!ended()) process_.Kill();
}

// ---------------------------------------------------------------- calls

template <typename Before>
bool Worker::PushCall(const Channel::Draft& draft, Call call, Before before) {
  {
    std::lock_guard lock(calls_mutex_);
    if (closed_) return false;
    before();
    call.place = channel_->PushCall(draft);
    if (!call.place) Kill("it leaves its calls unread");
    call.began = NowNanos();
    calls_.push_back(std::move(call));
  }
  channel_->RingWorker();
  return true;
}

Result<Worker::Answer> Worker::Ask(const PackWriter& call, Nanos limit) {
  Channel::Draft draft = channel_->Begin(call.bytes(), 0);
  if (!draft.content) return Error(Code::kInternal, fmt::format("the shared memory of '{}' is full", setup_.name), "no_shared_memory");
  auto waiter = std::make_shared<Waiter>();
  if (!PushCall(draft, Call{{}, 0, waiter, {}}, [] {})) return Error(Code::kInternal, end_text(), "worker_ended");
  return Await(*waiter, limit);
}

Result<Worker::Answer> Worker::Await(Waiter& waiter, Nanos limit) {
  std::unique_lock lock(waiter.mutex);
  auto there = [&waiter] { return waiter.answer.has_value(); };
  if (limit == Nanos(0)) waiter.wake.wait(lock, there);
  else if (!waiter.wake.wait_for(lock, limit, there))
    return Error(Code::kDeadlineExceeded, fmt::format("'{}' has not answered in time", setup_.name), "worker_late");
  return *std::move(waiter.answer);
}

void Worker::SetOwner(std::shared_ptr<WorkerOwner> owner) {
  {
    std::lock_guard lock(calls_mutex_);
    if (!closed_) {
      owner_ = std::move(owner);
      return;
    }
  }
  owner->OnWorkerEnd({});
}

Result<Channel::Draft> Worker::DraftExecute(const ExecutionBatch& batch, const OpenRequests::Places& places) {
  std::size_t size = 0;
  std::vector<TensorPlace> places_of_tensors;
  for (const auto& execution : batch) size = LayOut(channel_.get(), execution->request().inputs, size, places_of_tensors);
  PackWriter writer;
  writer.Array(3).Int(static_cast<std::int64_t>(CallKind::kExecute)).Uint(EventOf(batch.front()->request())).Array(batch.size());
  const TensorPlace* place = places_of_tensors.data();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const InferRequest& request = batch[i]->request();
    writer.Array(10).Uint(places.first + i).Uint(places.cells[i]).Uint(EventOf(request)).Text(request.client_id);
    if (const auto* number = std::get_if<std::uint64_t>(&request.correlation_id)) writer.Uint(*number);
    else writer.Text(std::get<std::string>(request.correlation_id));
    writer.Int((request.sequence_start ? 1 : 0) | (request.sequence_end ? 2 : 0)).Uint(request.timeout_us);
    writer.Text(ParametersJson(request.parameters));
    const auto& outputs = request.requested_outputs.empty() ? setup_.rules->names() : request.requested_outputs;
    writer.Array(outputs.size());
    for (const std::string& name : outputs) writer.Text(name);
    writer.Array(request.inputs.size());
    for (const Tensor& tensor : request.inputs) PackTensor(writer, tensor, *place++);
  }
  Channel::Draft draft = channel_->Begin(writer.bytes(), size);
  if (!draft.content)
    return Error(Code::kTooLarge,
                 fmt::format("a batch of {} bytes does not fit in the shared memory of '{}', which may hold {}", size, setup_.name,
                             setup_.sizes.most),
                 "no_shared_memory");
  place = places_of_tensors.data();
  for (const auto& execution : batch) {
    const std::vector<Tensor>& inputs = execution->request().inputs;
    HandOver(inputs, place, draft.tensors);
    // Should the worker end before it takes the call, another one gets the tensors from there: the block is nobody else's until then.
    if (std::ranges::any_of(inputs, [](const Tensor& tensor) { return tensor.data.size() >= kMoveBytes; })) {
      std::vector<Tensor> moved = inputs;
      for (std::size_t i = 0; i < moved.size(); ++i) {
        Bytes& data = moved[i].data;
        data = Bytes(channel_, place[i].block != 0 ? data.data() : draft.tensors + place[i].offset, data.size());
      }
      execution->MoveInputs(std::move(moved));
    }
    place += inputs.size();
  }
  return draft;
}

bool Worker::Post(ExecutionBatch& batch) {
  ComputeTimes times;
  times.start = std::chrono::steady_clock::now();
  auto refuse = [&](const Status& why) {
    for (auto& execution : batch) {
      InferResponse response;
      response.error = why;
      execution->Send(std::move(response));
    }
    batch.clear();
    std::shared_ptr<WorkerOwner> owner;
    {
      std::lock_guard lock(calls_mutex_);
      owner = owner_;
    }
    if (!owner) return false;  // the batch is answered, and the caller says that it is over
    owner->OnBatchOver();
    return true;
  };
  std::optional<OpenRequests::Places> places = open_->Reserve(batch.size());
  if (!places)
    return refuse(Failed(fmt::format("{} requests have no final response yet, and no more may be open", int{kCells}), Code::kUnavailable));
  auto draft = DraftExecute(batch, *places);
  if (!draft) {
    open_->GiveBack(*places);
    return refuse(draft.error());
  }
  times.input_end = std::chrono::steady_clock::now();
  OpenRequests::Range requests{places->first, batch.size()};
  if (PushCall(*draft, Call{{}, 0, nullptr, requests}, [&] { open_->Add(*places, std::move(batch), times); })) return true;
  open_->GiveBack(*places);
  return false;
}

// ---------------------------------------------------------------- turns

void Worker::Run() {
  if (turns_.fetch_add(1, std::memory_order_acq_rel) != 0) return;
  for (std::int64_t seen = 1;;) {
    Turn();
    std::int64_t before = turns_.fetch_sub(seen, std::memory_order_acq_rel);
    if (before == seen) return;
    seen = before - seen;
  }
}

void Worker::Turn() {
  std::vector<std::uint64_t> requests;
  {
    std::lock_guard lock(told_->mutex);
    requests.swap(told_->requests);
  }
  for (std::uint64_t request : requests) open_->Renew(request);
  for (int count = 0;; ++count) {
    Message message;
    int found = channel_->Pop(message);
    if (found == 0) break;
    if (found < 0) {
      Kill("it wrote what makes no sense into the memory that it shares with the server");
      break;
    }
    Handle(message);
    if (end_due_) {
      if (count == kRingEntries) break;  // what the worker has started may go on writing after its end
    } else if (count == kMessagesOfTurn) {
      ::eventfd_write(event(), 1);
      break;
    }
  }
  if (tick_due_.exchange(false)) Tick();
  if (end_due_ && !ended()) End();
}

void Worker::Handle(const Message& message) {
  PackReader reader(message.packed);
  reader.Array();
  auto said = static_cast<Said>(reader.Int());
  switch (said) {
    case Said::kDone: HandleDone(reader, message); break;
    case Said::kResponse: HandleResponse(reader, message); break;
    case Said::kWatch: HandleWatch(reader); break;
    case Said::kLog: HandleLog(reader); break;
    case Said::kReady: HandleReady(reader); break;
    default:
      nested_->Handle(said, reader, message, [this](std::uint64_t id) -> std::optional<NestedCalls::Parent> {
        const Execution* execution = open_->Find(id);
        if (!execution) return std::nullopt;
        return NestedCalls::Parent{execution->request().deadline, execution->request().cancellation};
      });
  }
  if (!reader.ok()) Kill("it sent a message that makes no sense");
}

void Worker::HandleDone(PackReader& reader, const Message& message) {
  Call call;
  std::shared_ptr<WorkerOwner> owner;
  {
    std::lock_guard lock(calls_mutex_);
    if (calls_.empty()) return Kill("it answered what nobody had asked");
    call = std::move(calls_.front());
    calls_.pop_front();
    if (!calls_.empty()) calls_.front().began = NowNanos();
    owner = owner_;
  }
  if (!call.waiter) {
    if (owner) owner->OnBatchOver();  // the next batch goes out before the answers of this one
    return Settle(call.requests, reader, message);
  }
  if (reader.TakeNil()) call.waiter->Set(Answer{message, reader});
  else call.waiter->Set(Error(Code::kInternal, std::string(reader.Text()), "model_error"));
}

void Worker::Settle(OpenRequests::Range requests, PackReader& reader, const Message& message) {
  SteadyTime returned = std::chrono::steady_clock::now();
  if (!reader.TakeNil()) {
    Status why = Failed(reader.Text());
    for (std::size_t i = 0; i < requests.count; ++i) open_->Fail(requests.first + i, why);
    return;
  }
  std::size_t responses = reader.Array();
  for (std::size_t i = 0; i < requests.count; ++i) {
    if (i < responses && reader.TakeNil()) continue;  // its sender answers
    InferResponse response;
    Result<Nothing> read = i < responses ? ReadResponse(reader, message, response)
                                         : Error(Code::kInternal, "the worker's answer has too few responses", "bad_message");
    if (read) open_->Return(requests.first + i, std::move(response), returned);
    else open_->Fail(requests.first + i, Failed(read.error().message));
  }
}

void Worker::HandleResponse(PackReader& reader, const Message& message) {
  std::uint64_t id = reader.Uint();
  InferResponse response;
  response.final = (reader.Int() & kCompleteFinal) != 0;
  response.empty = reader.TakeNil();
  if (!response.empty) {
    if (auto read = ReadResponse(reader, message, response); !read) response.error = Failed(read.error().message);
  }
  if (reader.ok()) open_->Send(id, std::move(response));
}

void Worker::HandleWatch(PackReader& reader) {
  std::uint64_t call = reader.Uint();
  bool cancelled = open_->Watch(reader.Uint());
  PackWriter result;
  result.Bool(cancelled);
  if (reader.ok()) nested_->Reply(call, true, nullptr, result.bytes());
}

void Worker::HandleLog(PackReader& reader) {
  std::int64_t level = reader.Int();
  std::string file(reader.Text());
  auto line = static_cast<int>(reader.Int());
  std::string_view text = reader.Text();
  if (!reader.ok()) return;
  using log::Level;
  Level as = level == 1 ? Level::kWarning : level == 2 ? Level::kError : level == 3 ? Level::kVerbose : Level::kInfo;
  if (log::Enabled(as)) log::Write(as, file.c_str(), line, text);
}

void Worker::HandleReady(PackReader& reader) {
  bool ready = reader.Bool();
  std::string_view why = reader.Text();
  if (!reader.ok()) return;
  ready_asked_ = 0;
  if (ready == ready_.exchange(ready)) return;
  if (ready) LOG_INFO("'{}' says that it is ready again", setup_.name);
  else LOG_WARNING("'{}' is not ready: {}", setup_.name, why.empty() ? "is_ready() returned False" : why);
}

void Worker::Tick() {
  SteadyTime now = std::chrono::steady_clock::now();
  channel_->FlushReplies();
  if (now - trimmed_ > kTrimEvery) {
    trimmed_ = now;
    channel_->Trim();
  }
  CheckHang(now);
  CheckReady();
}

void Worker::CheckHang(SteadyTime now) {
  std::int64_t began = 0;
  {
    std::lock_guard lock(calls_mutex_);
    if (!calls_.empty() && !calls_.front().waiter) began = calls_.front().began;
  }
  if (began == 0) {
    stacks_asked_ = abandoned_ = {};
    return;
  }
  bool abandoned = open_->AllAbandoned(now);
  if (!abandoned) abandoned_ = {};
  else if (abandoned_ == SteadyTime{}) abandoned_ = now;
  Nanos age = now.time_since_epoch() - Nanos(began);
  bool too_long = setup_.execute_limit > Nanos(0) && age > setup_.execute_limit;
  bool nobody_waits = abandoned && now - abandoned_ >= setup_.abandoned_limit && age >= setup_.abandoned_limit;
  if (!too_long && !nobody_waits) {
    stacks_asked_ = {};
    return;
  }
  if (too_long && open_->FailBlocked(Failed("the client reads too slowly, and send() waits for it", Code::kUnavailable))) {
    std::lock_guard lock(calls_mutex_);
    if (!calls_.empty()) calls_.front().began = NowNanos();
    return;
  }
  if (stacks_asked_ == SteadyTime{}) {  // the next tick kills it; its stacks tell where it hung
    stacks_asked_ = now;
    process_.AskForStacks();
    return;
  }
  Kill(fmt::format("execute() had not returned after {:.0f} s{}", std::chrono::duration<double>(age).count(),
                   too_long ? "" : ", and nobody waits for it any more"));
}

void Worker::CheckReady() {
  if (!asks_ready_) return;
  std::int64_t now = NowNanos();
  if (ready_asked_ == 0) {
    PackWriter ask;
    ask.Array(4).Uint(kAskReady).Bool(false).Nil().Nil();
    Channel::Draft draft = channel_->Begin(ask.bytes(), 0);
    if (!draft.content) return;
    ready_asked_ = now;
    channel_->PushReply(draft);
  } else if (Nanos(now - ready_asked_) > kReadyLimit && ready_.exchange(false)) {
    LOG_WARNING("'{}' is not ready: is_ready() has not returned within {} s", setup_.name,
                std::chrono::duration_cast<std::chrono::seconds>(kReadyLimit).count());
  }
}

void Worker::End() {
  std::string text;
  {
    std::lock_guard lock(end_mutex_);
    text = fmt::format("the worker of '{}' {}", setup_.name, process_.Reap());
    std::string last_words = process_.LastWords();
    if (!kill_reason_.empty()) text += ": " + kill_reason_;
    if (!last_words.empty()) text += "\n\n" + last_words;
    environment_.reset();
    end_text_ = text;
    ended_.store(true, std::memory_order_release);
    end_wake_.notify_all();
  }
  std::deque<Call> calls;
  std::shared_ptr<WorkerOwner> owner;
  {
    std::lock_guard lock(calls_mutex_);
    closed_ = true;
    calls.swap(calls_);
    owner = std::move(owner_);
  }
  std::vector<ExecutionBatch> unstarted;
  int begun = 0;
  for (Call& call : calls) {
    if (call.waiter) {
      call.waiter->Set(Error(Code::kInternal, text, "worker_ended"));
      continue;
    }
    ExecutionBatch batch;
    if (!call.place || !channel_->Taken(*call.place)) batch = open_->TakeBack(call.requests);
    if (batch.empty()) ++begun;
    else unstarted.push_back(std::move(batch));
  }
  open_->FailAll(Failed(text));
  nested_->Stop();
  watches_.clear();
  if (!owner) return;
  for (; begun > 0; --begun) owner->OnBatchOver();
  owner->OnWorkerEnd(std::move(unstarted));
}

// ---------------------------------------------------------------- events

void Worker::OnEvent(std::size_t number) {
  __atomic_store_n(&channel_->control().told[number], 0, __ATOMIC_SEQ_CST);
  Run();
}

void Worker::OnEnd() {
  end_due_ = true;
  Run();
}

void Worker::OnTick() {
  tick_due_ = true;
  Run();
}

}  // namespace nereid::python

#include "backends/python/worker.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "backends/python/tender.h"
#include "base/log.h"

namespace nereid::python {
namespace {

constexpr Nanos kReadyLimit = std::chrono::seconds(5);
constexpr Nanos kTrimEvery = std::chrono::seconds(5);

std::int64_t NowNanos() {
  return std::chrono::duration_cast<Nanos>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

timespec RelativeTime(Nanos wait) {
  auto count = std::max<std::int64_t>(0, wait.count());
  return {count / 1'000'000'000, count % 1'000'000'000};
}

}  // namespace

// What other threads leave for the tender: requests whose client has room again, or went away. Outlives the worker while they may call.
struct Worker::Waking {
  std::mutex mutex;
  std::vector<std::uint64_t> requests;  // guarded by mutex
  int event = -1;                       // guarded by mutex; -1: the worker is gone

  void Tell(std::uint64_t request) {
    std::lock_guard lock(mutex);
    if (event < 0) return;
    requests.push_back(request);
    ::eventfd_write(event, 1);
  }
};

Result<std::shared_ptr<Worker>> Worker::Start(WorkerSetup setup, Tender& tender) {
  std::shared_ptr<Worker> self(new Worker(std::move(setup)));
  const WorkerSetup& set = self->setup_;
  self->event_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (self->event_.get() < 0)
    return Error(Code::kInternal, fmt::format("no event descriptor for a worker: {}", std::strerror(errno)), "no_descriptors");
  TRY(self->channel_, Channel::Create(fmt::format("{}_{}", set.region_prefix, set.name), set.sizes));
  self->nested_ = std::make_shared<NestedCalls>(set.world, self->channel_);
  self->waking_ = std::make_shared<Waking>();
  self->waking_->event = self->event_.get();
  self->open_.emplace(self->channel_->control(), *set.rules, set.decoupled,
                      [waking = self->waking_](std::uint64_t request) { waking->Tell(request); });
  TRY(self->process_, Process::Start(set.command, *self->channel_, self->event_.get()));
  tender.Add(self);
  auto up = self->Await(set.start_limit);
  if (up) return self;
  self->Kill("it did not answer");
  if (up.error().reason == "worker_late")
    return Error(Code::kInternal,
                 fmt::format("the Python '{}' for '{}' did not answer within {:.0f} s (stub-timeout-seconds)", set.command.executable,
                             set.name, std::chrono::duration<double>(set.start_limit).count()),
                 "worker_late");
  return std::unexpected(std::move(up).error());
}

Status Worker::Failed(std::string_view text, Code code) const {
  return {code, fmt::format("Failed to process the request(s) for model '{}', message: {}", setup_.name, text), "model_error", ""};
}

std::string Worker::end_text() const {
  std::lock_guard lock(end_mutex_);
  return end_text_;
}

void Worker::Kill(std::string why) {
  std::lock_guard lock(end_mutex_);
  if (kill_reason_.empty()) kill_reason_ = std::move(why);
  if (!ended()) process_.Kill();
}

void Worker::WhenEnded(std::function<void()> call) {
  {
    std::lock_guard lock(end_mutex_);
    if (!ended()) {
      when_ended_ = std::move(call);
      return;
    }
  }
  call();
}

bool Worker::AwaitEnd(Nanos limit) {
  SteadyTime until = std::chrono::steady_clock::now() + std::chrono::duration_cast<SteadyTime::duration>(limit);
  ChannelBell& bell = channel_->control().call_bell;
  for (;;) {
    std::uint32_t seen = BellRead(&bell);
    if (ended()) return true;
    Nanos left = until - std::chrono::steady_clock::now();
    if (left <= Nanos(0)) return false;
    timespec wait = RelativeTime(left);
    BellWait(&bell, seen, &wait);
  }
}

// ---------------------------------------------------------------- calls

Result<Worker::Answer> Worker::Ask(const PackWriter& call, Nanos limit) {
  Channel::Draft draft = channel_->Begin(call.bytes(), 0);
  if (!draft.content || !channel_->PushCall(draft))
    return Error(Code::kInternal, fmt::format("the shared memory of '{}' is full", setup_.name), "no_shared_memory");
  return Await(limit);
}

Result<Worker::Answer> Worker::Await(Nanos limit) {
  SteadyTime until = limit > Nanos(0) ? std::chrono::steady_clock::now() + limit : SteadyTime::max();
  ChannelBell& bell = channel_->control().call_bell;
  for (;;) {
    std::uint32_t seen = BellRead(&bell);
    std::optional<Message> done;
    {
      std::lock_guard lock(mutex_);
      Drain();
      done = std::exchange(done_, std::nullopt);
    }
    if (done) {
      PackReader reader(done->packed);
      reader.Array();
      reader.Int();
      if (!reader.TakeNil()) return Error(Code::kInternal, std::string(reader.Text()), "model_error");
      return Answer{*std::move(done), reader};
    }
    if (ended()) return Error(Code::kInternal, end_text(), "worker_ended");
    if (until == SteadyTime::max()) {
      BellWait(&bell, seen, nullptr);
      continue;
    }
    Nanos left = until - std::chrono::steady_clock::now();
    if (left <= Nanos(0)) return Error(Code::kDeadlineExceeded, fmt::format("'{}' has not answered in time", setup_.name), "worker_late");
    timespec wait = RelativeTime(left);
    BellWait(&bell, seen, &wait);
  }
}

// ---------------------------------------------------------------- execute

Result<Channel::Draft> Worker::DraftExecute(const ExecutionBatch& batch, const OpenRequests::Places& places) {
  std::size_t size = 0;
  std::vector<std::size_t> offsets;
  for (const auto& execution : batch) size = LayOut(execution->request().inputs, size, offsets);
  PackWriter writer;
  writer.Array(2).Int(static_cast<std::int64_t>(Call::kExecute)).Array(batch.size());
  const std::size_t* offset = offsets.data();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const InferRequest& request = batch[i]->request();
    writer.Array(9).Uint(places.first + i).Uint(places.cells[i]).Text(request.client_id);
    if (const auto* number = std::get_if<std::uint64_t>(&request.correlation_id)) writer.Uint(*number);
    else writer.Text(std::get<std::string>(request.correlation_id));
    writer.Int((request.sequence_start ? 1 : 0) | (request.sequence_end ? 2 : 0)).Uint(request.timeout_us);
    writer.Text(ParametersJson(request.parameters));
    const auto& outputs = request.requested_outputs.empty() ? setup_.rules->names() : request.requested_outputs;
    writer.Array(outputs.size());
    for (const std::string& name : outputs) writer.Text(name);
    writer.Array(request.inputs.size());
    for (const Tensor& tensor : request.inputs) PackTensor(writer, tensor, *offset++);
  }
  Channel::Draft draft = channel_->Begin(writer.bytes(), size);
  if (!draft.content)
    return Error(Code::kTooLarge,
                 fmt::format("a batch of {} bytes does not fit in the shared memory of '{}', which may hold {}", size, setup_.name,
                             setup_.sizes.most),
                 "no_shared_memory");
  offset = offsets.data();
  for (const auto& execution : batch) {
    CopyTensors(execution->request().inputs, offset, draft.tensors);
    offset += execution->request().inputs.size();
  }
  return draft;
}

void Worker::Execute(ExecutionBatch batch) {
  ComputeTimes times;
  times.start = std::chrono::steady_clock::now();
  auto refuse = [&batch](const Status& why) {
    for (auto& execution : batch) {
      InferResponse response;
      response.error = why;
      execution->Send(std::move(response));
    }
  };
  std::optional<OpenRequests::Places> places;
  {
    std::lock_guard lock(mutex_);
    places = open_->Reserve(batch.size());
  }
  if (!places)
    return refuse(Failed(fmt::format("{} requests have no final response yet, and no more may be open", int{kCells}), Code::kUnavailable));
  std::size_t count = batch.size();
  auto draft = DraftExecute(batch, *places);
  {
    std::lock_guard lock(mutex_);
    if (draft) {
      times.input_end = std::chrono::steady_clock::now();
      open_->Add(*places, std::move(batch), times);
      executing_ = {places->first, count};
    } else {
      open_->GiveBack(*places);
    }
  }
  if (!draft) return refuse(draft.error());
  executing_since_ = NowNanos();
  if (!channel_->PushCall(*draft)) Kill("it leaves its calls unread");
  Result<Answer> answer = Await(Nanos(0));
  executing_since_ = 0;
  Settle(std::move(answer));
}

void Worker::Settle(Result<Answer> answer) {
  SteadyTime returned = std::chrono::steady_clock::now();
  std::lock_guard lock(mutex_);
  auto [first, count] = std::exchange(executing_, {0, 0});
  if (!answer) {
    Status why = Failed(answer.error().message);
    for (std::size_t i = 0; i < count; ++i) open_->Fail(first + i, why);
    return;
  }
  PackReader& reader = answer->result;
  std::size_t responses = reader.Array();
  for (std::size_t i = 0; i < count; ++i) {
    if (i < responses && reader.TakeNil()) continue;  // its sender answers
    InferResponse response;
    Result<Nothing> read = i < responses ? ReadResponse(reader, answer->message, response)
                                         : Error(Code::kInternal, "the worker's answer has too few responses", "bad_message");
    if (read) open_->Return(first + i, std::move(response), returned);
    else open_->Fail(first + i, Failed(read.error().message));
  }
  if (ended()) open_->FailAll(Failed(end_text()));  // those that a sender was to answer
}

// ---------------------------------------------------------------- what the worker says

void Worker::Drain() {
  for (;;) {
    Message message;
    int found = channel_->Pop(message);
    if (found == 0) return;
    if (found < 0) return Kill("it wrote what makes no sense into the memory that it shares with the server");
    Handle(message);
  }
}

void Worker::Handle(const Message& message) {
  PackReader reader(message.packed);
  reader.Array();
  auto said = static_cast<Said>(reader.Int());
  switch (said) {
    case Said::kDone: done_ = message; return;
    case Said::kResponse: HandleResponse(reader, message); break;
    case Said::kWatch: open_->Watch(reader.Uint()); break;
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

// ---------------------------------------------------------------- the tender's

void Worker::OnEvent() {
  eventfd_t ignored;
  ::eventfd_read(event_.get(), &ignored);
  __atomic_store_n(&channel_->control().tender_told, 0, __ATOMIC_SEQ_CST);
  std::vector<std::uint64_t> requests;
  {
    std::lock_guard lock(waking_->mutex);
    requests.swap(waking_->requests);
  }
  std::lock_guard lock(mutex_);
  for (std::uint64_t request : requests) open_->Renew(request);
  Drain();
}

void Worker::OnEnd() {
  std::string text;
  {
    std::lock_guard lock(end_mutex_);
    text = fmt::format("the worker of '{}' {}", setup_.name, process_.Reap());
    std::string last_words = process_.LastWords();
    if (!kill_reason_.empty()) text += ": " + kill_reason_;
    if (!last_words.empty()) text += "\n\n" + last_words;
    end_text_ = text;
    ended_.store(true, std::memory_order_release);
  }
  {
    std::lock_guard lock(mutex_);
    Drain();  // what it sent before
    // A call that was answered first is settled by the thread that waits for it.
    open_->FailAll(Failed(text), done_ ? executing_ : OpenRequests::Range{0, 0});
  }
  {
    std::lock_guard lock(waking_->mutex);
    waking_->event = -1;
  }
  nested_->Stop();
  std::function<void()> when_ended;
  {
    std::lock_guard lock(end_mutex_);
    when_ended = std::move(when_ended_);
  }
  if (when_ended) when_ended();
  BellRing(&channel_->control().call_bell);
}

void Worker::OnTick(SteadyTime now) {
  channel_->FlushReplies();
  if (now - trimmed_ > kTrimEvery) {
    trimmed_ = now;
    channel_->Trim();
  }
  CheckHang(now);
  CheckReady(now);
}

void Worker::CheckHang(SteadyTime now) {
  std::int64_t since = executing_since_;
  if (since == 0 || ended()) {
    stacks_asked_ = abandoned_ = {};
    return;
  }
  bool abandoned;
  {
    std::lock_guard lock(mutex_);
    abandoned = open_->AllAbandoned(now);
  }
  if (!abandoned) abandoned_ = {};
  else if (abandoned_ == SteadyTime{}) abandoned_ = now;
  Nanos age = now.time_since_epoch() - Nanos(since);
  bool too_long = setup_.execute_limit > Nanos(0) && age > setup_.execute_limit;
  if (!too_long && (!abandoned || now - abandoned_ < setup_.abandoned_limit)) {
    stacks_asked_ = {};
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

void Worker::CheckReady(SteadyTime) {
  if (!asks_ready_ || ended()) return;
  std::int64_t asked = ready_asked_, now = NowNanos();
  if (asked == 0) {
    ready_asked_ = now;
    PackWriter ask;
    ask.Array(4).Uint(kAskReady).Bool(false).Nil().Nil();
    if (Channel::Draft draft = channel_->Begin(ask.bytes(), 0); draft.content) channel_->PushReply(draft);
  } else if (Nanos(now - asked) > kReadyLimit && ready_.exchange(false)) {
    LOG_WARNING("'{}' is not ready: is_ready() has not returned within {} s", setup_.name,
                std::chrono::duration_cast<std::chrono::seconds>(kReadyLimit).count());
  }
}

}  // namespace nereid::python

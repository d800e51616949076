#include "backends/python/open_requests.h"

#include <algorithm>

namespace nereid::python {
namespace {

// Of responses that wait for a slow client. Beyond the first, send() waits in the worker; beyond the second, which only a model reaches
// that does not wait there (its event loop must go on), the request fails.
constexpr std::size_t kAheadBytes = 4 << 20, kAheadBytesMost = 64 << 20;

std::size_t BytesOf(const InferResponse& response) {
  std::size_t bytes = 1024;  // of the bare response
  for (const Tensor& tensor : response.outputs) bytes += tensor.data.size();
  return bytes;
}

}  // namespace

OpenRequests::OpenRequests(ChannelControl& control, const OutputRules& rules, bool decoupled, Told told)
    : control_(control), rules_(rules), decoupled_(decoupled), told_(std::move(told)) {
  for (std::uint32_t cell = kCells; cell-- > 0;) free_cells_.push_back(cell);
}

std::optional<OpenRequests::Places> OpenRequests::Reserve(std::size_t count) {
  std::lock_guard lock(mutex_);
  if (free_cells_.size() < count) return std::nullopt;
  Places places{std::exchange(next_, next_ + count), {}};
  for (auto cell = free_cells_.end() - static_cast<std::ptrdiff_t>(count); cell != free_cells_.end(); ++cell) {
    // The number last: what a worker still holds of an earlier request does not take the words for its own.
    __atomic_store_n(&control_.cells[*cell].cancelled, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&control_.cells[*cell].blocked, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&control_.cells[*cell].request, places.first + places.cells.size(), __ATOMIC_RELEASE);
    places.cells.push_back(*cell);
  }
  free_cells_.resize(free_cells_.size() - count);
  return places;
}

void OpenRequests::GiveBack(const Places& places) {
  std::lock_guard lock(mutex_);
  free_cells_.insert(free_cells_.end(), places.cells.begin(), places.cells.end());
}

void OpenRequests::Add(const Places& places, ExecutionBatch batch, const ComputeTimes& times) {
  std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < batch.size(); ++i)
    open_.emplace_hint(open_.end(), places.first + i, Open{std::move(batch[i]), places.cells[i], times, {}, 0, false});
}

ExecutionBatch OpenRequests::TakeBack(Range requests) {
  ExecutionBatch batch;
  std::lock_guard lock(mutex_);
  auto place = open_.lower_bound(requests.first);
  while (place != open_.end() && place->first < requests.first + requests.count) {
    batch.push_back(std::move(place->second.execution));
    free_cells_.push_back(place->second.cell);
    place = open_.erase(place);
  }
  return batch;
}

OpenRequests::Open* OpenRequests::Get(std::uint64_t request) {
  std::lock_guard lock(mutex_);
  auto place = open_.find(request);
  return place == open_.end() ? nullptr : &place->second;
}

const Execution* OpenRequests::Find(std::uint64_t request) const {
  std::lock_guard lock(mutex_);
  auto place = open_.find(request);
  return place == open_.end() ? nullptr : place->second.execution.get();
}

void OpenRequests::Return(std::uint64_t request, InferResponse response, SteadyTime returned) {
  Open* open = Get(request);
  if (!open) return;
  open->times.output_start = returned;
  Deliver(request, *open, std::move(response));
}

void OpenRequests::Send(std::uint64_t request, InferResponse response) {
  Open* open = Get(request);
  if (!open) return;
  if (!decoupled_) {
    if (response.empty) return;
    response.final = true;
  }
  Deliver(request, *open, std::move(response));
}

void OpenRequests::Fail(std::uint64_t request, const Status& why) {
  Open* open = Get(request);
  if (!open) return;
  __atomic_store_n(&Cell(*open).cancelled, 1, __ATOMIC_RELEASE);  // whatever the model still makes is for nobody
  open->waiting.clear();
  open->waiting_bytes = 0;
  InferResponse response;
  response.error = why;
  Deliver(request, *open, std::move(response));
}

template <typename Which>
std::size_t OpenRequests::FailThose(const Status& why, Which which) {
  std::vector<std::uint64_t> those;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [request, open] : open_) {
      if (which(open)) those.push_back(request);
    }
  }
  for (std::uint64_t request : those) Fail(request, why);
  return those.size();
}

void OpenRequests::FailAll(const Status& why) {
  FailThose(why, [](const Open&) { return true; });
}

bool OpenRequests::FailBlocked(const Status& why) {
  return FailThose(why, [](const Open& open) { return open.blocked; }) > 0;
}

void OpenRequests::Deliver(std::uint64_t request, Open& open, InferResponse response) {
  if (!response.error) {
    if (auto kept = rules_.Check(response.outputs); !kept) {
      response.error = std::move(kept).error();
      response.outputs.clear();
    }
  }
  if (response.final) {
    SteadyTime now = std::chrono::steady_clock::now();
    if (open.times.output_start == SteadyTime{}) open.times.output_start = now;
    open.times.end = now;
    response.times = open.times;
  }
  if (!open.waiting.empty()) return Wait(request, open, std::move(response));
  bool final = response.final;
  Pushed pushed = open.execution->Send(std::move(response));
  if (final) return End(request, open);
  if (pushed == Pushed::kGone) __atomic_store_n(&Cell(open).cancelled, 1, __ATOMIC_RELEASE);
  if (pushed != Pushed::kFull) return;
  Wait(request, open, std::move(response));  // NOLINT(bugprone-use-after-move): a kFull has not taken it
  AwaitRoom(request, open);
}

void OpenRequests::Wait(std::uint64_t request, Open& open, InferResponse response) {
  if (open.waiting_bytes > kAheadBytesMost)
    return Fail(request, Status{Code::kUnavailable, "the client reads too slowly: too many responses wait for it", "slow_client", ""});
  open.waiting_bytes += BytesOf(response);
  open.waiting.push_back(std::move(response));
  if (open.waiting_bytes <= kAheadBytes) return;
  open.blocked = true;
  __atomic_store_n(&Cell(open).blocked, 1, __ATOMIC_RELEASE);
}

void OpenRequests::AwaitRoom(std::uint64_t request, Open& open) {
  open.execution->OnRoom([told = told_, request] { told(request); });
}

void OpenRequests::End(std::uint64_t request, Open& open) {
  Unblock(open);
  std::unique_ptr<Execution> ended = std::move(open.execution);  // destroyed without the mutex
  std::lock_guard lock(mutex_);
  free_cells_.push_back(open.cell);
  open_.erase(request);
}

bool OpenRequests::Watch(std::uint64_t request) {
  Open* open = Get(request);
  if (!open) return true;
  // A copy: `told` comes at once when it is cancelled already.
  Cancellation cancellation = open->execution->request().cancellation;
  cancellation.OnCancel([told = told_, request] { told(request); });
  return cancellation.cancelled();
}

void OpenRequests::Renew(std::uint64_t request) {
  Open* open = Get(request);
  if (!open) return;
  if (open->execution->cancelled()) {
    __atomic_store_n(&Cell(*open).cancelled, 1, __ATOMIC_RELEASE);
    Unblock(*open);
  }
  while (!open->waiting.empty()) {
    bool final = open->waiting.front().final;
    std::size_t bytes = BytesOf(open->waiting.front());
    Pushed pushed = open->execution->Send(std::move(open->waiting.front()));
    if (final) return End(request, *open);
    if (pushed == Pushed::kFull) return AwaitRoom(request, *open);
    open->waiting.pop_front();
    open->waiting_bytes -= bytes;
    if (open->waiting_bytes <= kAheadBytes / 2) Unblock(*open);
  }
  Unblock(*open);
}

void OpenRequests::Unblock(Open& open) {
  open.blocked = false;
  ChannelCell& cell = Cell(open);
  if (__atomic_exchange_n(&cell.blocked, 0, __ATOMIC_ACQ_REL)) FutexWake(&cell.blocked);
}

bool OpenRequests::AllAbandoned(SteadyTime now) const {
  std::lock_guard lock(mutex_);
  return std::ranges::all_of(open_, [now](const auto& each) {
    const Execution& execution = *each.second.execution;
    return execution.cancelled() || execution.request().deadline.Passed(now);
  });
}

}  // namespace nereid::python

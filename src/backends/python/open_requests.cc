#include "backends/python/open_requests.h"

#include <algorithm>

namespace nereid::python {

OpenRequests::OpenRequests(ChannelControl& control, const OutputRules& rules, bool decoupled, Told told)
    : control_(control), rules_(rules), decoupled_(decoupled), told_(std::move(told)) {
  for (std::uint32_t cell = kCells; cell-- > 0;) free_cells_.push_back(cell);
}

std::optional<OpenRequests::Places> OpenRequests::Reserve(std::size_t count) {
  if (free_cells_.size() < count) return std::nullopt;
  Places places{std::exchange(next_, next_ + count), {}};
  for (auto cell = free_cells_.end() - static_cast<std::ptrdiff_t>(count); cell != free_cells_.end(); ++cell) {
    control_.cells[*cell] = {0, 0};
    places.cells.push_back(*cell);
  }
  free_cells_.resize(free_cells_.size() - count);
  return places;
}

void OpenRequests::GiveBack(const Places& places) {
  free_cells_.insert(free_cells_.end(), places.cells.begin(), places.cells.end());
}

void OpenRequests::Add(const Places& places, ExecutionBatch batch, const ComputeTimes& times) {
  for (std::size_t i = 0; i < batch.size(); ++i)
    open_.emplace_hint(open_.end(), places.first + i, Open{std::move(batch[i]), places.cells[i], times, {}});
}

const Execution* OpenRequests::Find(std::uint64_t request) const {
  auto place = open_.find(request);
  return place == open_.end() ? nullptr : place->second.execution.get();
}

void OpenRequests::Return(std::uint64_t request, InferResponse response, SteadyTime returned) {
  auto place = open_.find(request);
  if (place == open_.end()) return;
  place->second.times.output_start = returned;
  Deliver(place, std::move(response));
}

void OpenRequests::Send(std::uint64_t request, InferResponse response) {
  auto place = open_.find(request);
  if (place == open_.end()) return;
  if (!decoupled_) {
    if (response.empty) return;
    response.final = true;
  }
  Deliver(place, std::move(response));
}

void OpenRequests::Fail(std::uint64_t request, const Status& why) {
  auto place = open_.find(request);
  if (place == open_.end()) return;
  place->second.waiting.clear();
  InferResponse response;
  response.error = why;
  Deliver(place, std::move(response));
}

void OpenRequests::FailAll(const Status& why, Range except) {
  for (auto next = open_.begin(); next != open_.end();) {
    std::uint64_t request = (next++)->first;
    if (request < except.first || request >= except.first + except.count) Fail(request, why);
  }
}

void OpenRequests::Deliver(Place place, InferResponse response) {
  Open& open = place->second;
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
  if (!open.waiting.empty()) {
    open.waiting.push_back(std::move(response));
    return;
  }
  bool final = response.final;
  Pushed pushed = open.execution->Send(std::move(response));
  if (final) {
    End(place);
  } else if (pushed == Pushed::kGone) {
    __atomic_store_n(&Cell(open).cancelled, 1, __ATOMIC_RELEASE);
  } else if (pushed == Pushed::kFull) {
    open.waiting.push_back(std::move(response));
    __atomic_store_n(&Cell(open).blocked, 1, __ATOMIC_RELEASE);
    AwaitRoom(place);
  }
}

void OpenRequests::AwaitRoom(Place place) {
  place->second.execution->OnRoom([told = told_, request = place->first] { told(request); });
}

void OpenRequests::End(Place place) {
  Unblock(place->second);
  free_cells_.push_back(place->second.cell);
  open_.erase(place);
}

void OpenRequests::Watch(std::uint64_t request) {
  auto place = open_.find(request);
  if (place == open_.end()) return;
  // A copy: at once when it is cancelled already.
  Cancellation cancellation = place->second.execution->request().cancellation;
  cancellation.OnCancel([told = told_, request] { told(request); });
}

void OpenRequests::Renew(std::uint64_t request) {
  auto place = open_.find(request);
  if (place == open_.end()) return;
  Open& open = place->second;
  if (open.execution->cancelled()) {
    __atomic_store_n(&Cell(open).cancelled, 1, __ATOMIC_RELEASE);
    Unblock(open);
  }
  while (!open.waiting.empty()) {
    bool final = open.waiting.front().final;
    Pushed pushed = open.execution->Send(std::move(open.waiting.front()));
    if (final) return End(place);
    if (pushed == Pushed::kFull) return AwaitRoom(place);
    open.waiting.pop_front();
  }
  Unblock(open);
}

void OpenRequests::Unblock(const Open& open) {
  ChannelCell& cell = Cell(open);
  if (__atomic_exchange_n(&cell.blocked, 0, __ATOMIC_ACQ_REL)) FutexWake(&cell.blocked);
}

bool OpenRequests::AllAbandoned(SteadyTime now) const {
  return std::ranges::all_of(open_, [now](const auto& each) {
    const Execution& execution = *each.second.execution;
    return execution.cancelled() || execution.request().deadline.Passed(now);
  });
}

}  // namespace nereid::python

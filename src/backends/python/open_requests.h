// The requests of one worker that have no last answer yet, and the way of their responses to the clients.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "api/backend.h"
#include "backends/python/channel.h"
#include "backends/python/output_rules.h"

namespace nereid::python {

// Reserve, GiveBack, Add and TakeBack: any thread. All else: in the worker's turns.
class OpenRequests {
 public:
  // Something changed for the request's client: it has room again, or it went away. Any thread; may be called at any time, also later.
  using Told = std::function<void(std::uint64_t request)>;

  // `control` and `rules` outlive this.
  OpenRequests(ChannelControl& control, const OutputRules& rules, bool decoupled, Told told);

  // Numbers and cells for the requests of a batch, to be given to Add or back.
  struct Places {
    std::uint64_t first = 0;  // the number of the first; the others follow
    std::vector<std::uint32_t> cells;
  };
  // Nothing: more requests would be open than there are cells.
  std::optional<Places> Reserve(std::size_t count);
  void GiveBack(const Places& places);
  void Add(const Places& places, ExecutionBatch batch, const ComputeTimes& times);
  struct Range {
    std::uint64_t first;
    std::size_t count;
  };
  // Requests that the worker has not seen, or never will.
  ExecutionBatch TakeBack(Range requests);

  // Null when the request has had its last answer.
  const Execution* Find(std::uint64_t request) const;

  // A response of execute(), which returned at `returned`; it is the last.
  void Return(std::uint64_t request, InferResponse response, SteadyTime returned);
  // A response of a response sender. A model that is not decoupled has one; a mark without a response says nothing then.
  void Send(std::uint64_t request, InferResponse response);
  // The last answer is this error. Does nothing when there was a last one.
  void Fail(std::uint64_t request, const Status& why);
  void FailAll(const Status& why);
  // Those whose slow clients let send() wait in the worker. False: there are none.
  bool FailBlocked(const Status& why);

  // The model asks whether nobody waits for more: it is so, or from now on the cell says it once it is.
  bool Watch(std::uint64_t request);
  // After `told`: sends what waits, and renews the cell.
  void Renew(std::uint64_t request);

  // Nobody waits for any of them.
  bool AllAbandoned(SteadyTime now) const;

 private:
  struct Open {
    std::unique_ptr<Execution> execution;
    std::uint32_t cell = 0;
    ComputeTimes times;
    std::deque<InferResponse> waiting;  // for room at the client
    std::size_t waiting_bytes = 0;
    bool blocked = false;  // send() waits
  };

  // Stays where it is until End, which is called in turns only; null when there is none.
  Open* Get(std::uint64_t request);
  // How many of them.
  template <typename Which>
  std::size_t FailThose(const Status& why, Which which);
  void Deliver(std::uint64_t request, Open& open, InferResponse response);
  void Wait(std::uint64_t request, Open& open, InferResponse response);
  void AwaitRoom(std::uint64_t request, Open& open);
  void End(std::uint64_t request, Open& open);
  ChannelCell& Cell(const Open& open) { return control_.cells[open.cell]; }
  void Unblock(Open& open);

  ChannelControl& control_;
  const OutputRules& rules_;
  const bool decoupled_;
  const Told told_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Open> open_;     // guarded by mutex_
  std::uint64_t next_ = 1;                 // guarded by mutex_
  std::vector<std::uint32_t> free_cells_;  // guarded by mutex_
};

}  // namespace nereid::python

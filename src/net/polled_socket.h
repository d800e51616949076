// A non-blocking socket whose readiness one io thread follows: registered once, edge-triggered, so that a wait costs no system call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "net/task.h"

namespace nereid::net {

class Poller;

enum class Need : std::uint8_t { kNone, kRead, kWrite };

// Owns its descriptor. Used on the thread of its executor only; a wait in progress ends with the io_context at the latest.
class PolledSocket {
 public:
  // `descriptor` is non-blocking, and connected or about to be.
  PolledSocket(Executor executor, int descriptor);
  PolledSocket(PolledSocket&&) noexcept = default;
  PolledSocket& operator=(PolledSocket&&) noexcept = default;
  ~PolledSocket();

  int fd() const;  // -1 after Close
  bool open() const { return fd() >= 0; }

  // Something has happened since the last Exhausted: a try may succeed.
  bool Ready(Need need) const;
  // The last try took all that there was. Readiness is then what comes after; a peer that has ended stays ready for reading.
  void Exhausted(Need need);
  // The peer has ended its side, or the connection is broken. There may still be bytes to read.
  bool hung_up() const;

  // One wait of a kind at a time. False when cancelled, by CancelWaits or the task's cancellation.
  Awaitable<bool> Wait(Need need);
  void CancelWaits();
  // `call` runs when hung_up becomes true. It may close the socket, not destroy it.
  void OnHangUp(std::function<void()> call);

  void Close();

 private:
  friend class Poller;
  struct Entry;
  struct Release {
    void operator()(Entry* entry) const;
  };
  std::unique_ptr<Entry, Release> entry_;
};

}  // namespace nereid::net

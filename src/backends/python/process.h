// One worker process: how it starts, ends, and what it said last.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "backends/python/channel.h"
#include "base/status.h"

namespace nereid::python {

// How to start a worker. Paths are absolute, or names that PATH finds.
struct Command {
  std::string executable;                // the Python
  std::vector<std::string> arguments;    // after it
  std::vector<std::string> environment;  // whole, "NAME=value"
};

class Process {
 public:
  Process() = default;
  // The worker gets the channel's and its own descriptors as 3 to 7 and `events` from 8 on, leads its own session, and dies with this
  // object, with all that it started in its session. Errors name the executable.
  static Result<Process> Start(const Command& command, const Channel& channel, const std::vector<int>& events);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }
  // Readable once the process has ended.
  int pidfd() const { return pidfd_.get(); }
  // SIGKILL to the whole session. Does not wait.
  void Kill() const;
  // Asks for the stacks of all threads in last_words().
  void AskForStacks() const;
  // Waits for the end and takes it: "was killed by SIGSEGV", "exited with code 3". Once.
  std::string Reap();
  // Fatal errors, stacks, why it could not start. Empty when it said nothing.
  std::string LastWords() const;

 private:
  pid_t pid_ = -1;
  bool reaped_ = false;
  Descriptor pidfd_, life_, last_words_;
};

}  // namespace nereid::python

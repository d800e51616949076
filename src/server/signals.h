// Signals as values: blocked in every thread, taken by the one that waits.
#pragma once

#include <csignal>

namespace nereid::server {

class Signals {
 public:
  // Before the first thread starts, so that all of them inherit the mask. SIGPIPE is ignored.
  Signals();
  // The next SIGTERM or SIGINT.
  int Wait();
  // Whether another one came since; does not wait.
  bool Again();

 private:
  sigset_t set_;
};

}  // namespace nereid::server

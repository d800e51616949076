#include "server/signals.h"

#include <pthread.h>

#include <ctime>

namespace nereid::server {

Signals::Signals() {
  ::sigemptyset(&set_);
  ::sigaddset(&set_, SIGTERM);
  ::sigaddset(&set_, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int Signals::Wait() {
  int number = 0;
  while (::sigwait(&set_, &number) != 0) {
  }
  return number;
}

bool Signals::Again() {
  timespec now{};
  return ::sigtimedwait(&set_, nullptr, &now) > 0;
}

}  // namespace nereid::server

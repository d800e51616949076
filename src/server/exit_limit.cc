#include "server/exit_limit.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

namespace nereid::server {

ExitLimit::ExitLimit(SteadyTime at)
    : thread_([this, at] {
        std::unique_lock lock(mutex_);
        if (wake_.wait_until(lock, at, [this] { return done_; })) return;
        LOG_ERROR("A model still runs after the exit timeout; the process ends without it.");
        log::Flush();
        ::syscall(SYS_exit_group, 1);  // not _exit: ThreadSanitizer would report the threads that are left as they are meant to be
      }) {}

ExitLimit::~ExitLimit() {
  {
    std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

}  // namespace nereid::server

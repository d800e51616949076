#include "backends/python/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace nereid::python {
namespace {

constexpr std::size_t kLastWordsMost = 16 << 10;

// Above what the worker is given, so that no dup2 overwrites a source.
Descriptor Above(int fd) {
  return Descriptor(::fcntl(fd, F_DUPFD_CLOEXEC, 32));
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<Process> Process::Start(const Command& command, const Channel& channel, const std::vector<int>& events) {
  Process process;
  int life[2];
  if (::pipe2(life, O_CLOEXEC) != 0)
    return Error(Code::kInternal, fmt::format("no pipe for a worker: {}", std::strerror(errno)), "no_descriptors");
  Descriptor reading(life[0]);
  process.life_ = Descriptor(life[1]);
  process.last_words_ = Descriptor(::memfd_create("nereid_last_words", MFD_CLOEXEC));
  // A descriptor of its own on the same file, so that the worker's writes do not move what we read. O_APPEND: nobody overwrites another.
  ::fcntl(process.last_words_.get(), F_SETFL, O_APPEND);

  std::vector<int> sources{channel.control_fd(), channel.server_region_fd(), channel.worker_region_fd(), reading.get(),
                           process.last_words_.get()};
  sources.insert(sources.end(), events.begin(), events.end());
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  std::vector<Descriptor> high;
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  int target = 3;
  for (int source : sources) {
    high.push_back(Above(source));
    ::posix_spawn_file_actions_adddup2(&actions, high.back().get(), target++);
  }
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> texts{command.executable};
  texts.insert(texts.end(), command.arguments.begin(), command.arguments.end());
  std::vector<char*> arguments = Pointers(texts), environment = Pointers(command.environment);
  int failed = ::posix_spawnp(&process.pid_, command.executable.c_str(), &actions, &attributes, arguments.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    process.pid_ = -1;
    return Error(Code::kInternal, fmt::format("cannot start the Python '{}': {}", command.executable, std::strerror(failed)), "no_python");
  }
  process.pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  if (process.pidfd_.get() < 0)
    return Error(Code::kInternal,
                 fmt::format("the kernel gives no descriptor for a process (Linux 5.3 or newer does): {}", std::strerror(errno)),
                 "no_descriptors");
  ::fcntl(process.pidfd_.get(), F_SETFD, FD_CLOEXEC);
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      reaped_(other.reaped_),
      pidfd_(std::move(other.pidfd_)),
      life_(std::move(other.life_)),
      last_words_(std::move(other.last_words_)) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(reaped_, other.reaped_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(life_, other.life_);
  std::swap(last_words_, other.last_words_);
  return *this;
}

Process::~Process() {
  if (pid_ < 0 || reaped_) return;
  Kill();
  (void)Reap();
}

void Process::Kill() const {
  if (pid_ > 0 && !reaped_) ::kill(-pid_, SIGKILL);
}

void Process::AskForStacks() const {
  if (pid_ > 0 && !reaped_) ::kill(pid_, SIGUSR2);
}

std::string Process::Reap() {
  siginfo_t ended{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  Kill();  // what it has left behind in its session; the number is still its own
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
  if (WIFSIGNALED(status)) return fmt::format("was killed by SIG{}", ::sigabbrev_np(WTERMSIG(status)));
  return fmt::format("exited with code {}", WEXITSTATUS(status));
}

std::string Process::LastWords() const {
  std::string text(kLastWordsMost, '\0');
  ssize_t size = ::pread(last_words_.get(), text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

}  // namespace nereid::python

#include "backends/python/channel.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace nereid::python {
namespace {

Result<Descriptor> Memory(const std::string& name, std::uint64_t size) {
  Descriptor fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd.get() < 0 || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    return Error(Code::kInternal, fmt::format("no shared memory of {} bytes for '{}': {}", size, name, std::strerror(errno)),
                 "no_shared_memory");
  return fd;
}

char* Map(int fd, std::uint64_t size) {
  void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  return base == MAP_FAILED ? nullptr : static_cast<char*>(base);
}

// A block of the worker's region, while somebody reads it.
struct Borrowed {
  std::shared_ptr<Channel> channel;
  char* content;
  Borrowed(std::shared_ptr<Channel> c, char* at) : channel(std::move(c)), content(at) {}
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() { channel->GiveBack(content); }
};

// Ends what Lend began; by it FindLent knows the pointer again.
struct Return {
  std::shared_ptr<Channel> channel;
  char* content;
  std::uint64_t bytes;
  void operator()(char*) const { channel->TakeBack(content, bytes); }
};

}  // namespace

Result<std::shared_ptr<Channel>> Channel::Create(const std::string& name, const RegionSizes& sizes) {
  std::shared_ptr<Channel> self(new Channel);
  self->sizes_ = sizes;
  TRY(self->control_fd_, Memory(name + "_control", sizeof(ChannelControl)));
  TRY(self->server_fd_, Memory(name + "_server", sizes.initial));
  TRY(self->worker_fd_, Memory(name + "_worker", sizes.initial));
  self->control_ = reinterpret_cast<ChannelControl*>(Map(self->control_fd_.get(), sizeof(ChannelControl)));
  self->server_base_ = Map(self->server_fd_.get(), sizes.most);
  self->worker_base_ = Map(self->worker_fd_.get(), sizes.most);
  if (!self->control_ || !self->server_base_ || !self->worker_base_ ||
      !ArenaInit(&self->arena_, self->server_base_, self->server_fd_.get(), sizes.initial, sizes.growth, sizes.most))
    return Error(Code::kInternal, fmt::format("the shared memory of '{}' cannot be mapped: {}", name, std::strerror(errno)),
                 "no_shared_memory");
  self->control_->version = kChannelVersion;
  self->worker_size_ = sizes.initial;
  return self;
}

Channel::~Channel() {
  ArenaEnd(&arena_);
  if (control_) ::munmap(control_, sizeof(ChannelControl));
  if (server_base_) ::munmap(server_base_, sizes_.most);
  if (worker_base_) ::munmap(worker_base_, sizes_.most);
}

Channel::Draft Channel::Begin(const std::string& packed, std::size_t tensors_size) {
  auto length = static_cast<std::uint32_t>(packed.size());
  std::size_t start = AlignBlock(sizeof(length) + packed.size());
  Draft draft;
  {
    std::lock_guard lock(mutex_);
    draft.content = ArenaAllocate(&arena_, start + tensors_size, tensors_size > 0);
  }
  if (!draft.content) return draft;
  order_.Take();
  std::memcpy(draft.content, &length, sizeof(length));
  std::memcpy(draft.content + sizeof(length), packed.data(), packed.size());
  draft.tensors = draft.content + start;
  draft.size = start + tensors_size;
  return draft;
}

std::shared_ptr<char> Channel::Lend(std::size_t bytes) {
  // Half is for what messages need besides.
  if (lent_.fetch_add(bytes) + bytes > sizes_.most / 2) {
    lent_ -= bytes;
    return nullptr;
  }
  char* content = nullptr;
  {
    std::lock_guard lock(mutex_);
    content = ArenaAllocate(&arena_, bytes, 1);
  }
  if (!content) {
    lent_ -= bytes;
    return nullptr;
  }
  order_.Take();
  return {content, Return{shared_from_this(), content, bytes}};
}

void Channel::TakeBack(char* content, std::uint64_t bytes) {
  GiveBack(content);
  lent_ -= bytes;
}

LentPart Channel::FindLent(const Bytes& bytes) const {
  const auto* lent = std::get_deleter<Return>(bytes.owner());
  if (!lent || lent->channel.get() != this) return {};
  return {static_cast<std::uint64_t>(lent->content - server_base_), static_cast<std::uint64_t>(bytes.data() - lent->content)};
}

std::optional<std::uint32_t> Channel::PushCall(const Draft& draft) {
  order_.Give();
  std::uint32_t place = __atomic_load_n(&control_->calls.tail, __ATOMIC_RELAXED);
  if (!RingPush(&control_->calls, {static_cast<std::uint64_t>(draft.content - server_base_), draft.size})) return std::nullopt;
  return place;
}

void Channel::RingWorker() {
  BellRing(&control_->worker_bell);
}

bool Channel::Taken(std::uint32_t place) const {
  return static_cast<std::int32_t>(__atomic_load_n(&control_->calls.head, __ATOMIC_ACQUIRE) - place) > 0;
}

void Channel::PushReply(const Draft& draft) {
  order_.Give();
  {
    std::lock_guard lock(mutex_);
    backlog_.push_back({static_cast<std::uint64_t>(draft.content - server_base_), draft.size});
  }
  FlushReplies();
}

void Channel::FlushReplies() {
  std::lock_guard lock(mutex_);
  bool pushed = false;
  while (!backlog_.empty() && RingPush(&control_->replies, backlog_.front())) {
    backlog_.pop_front();
    pushed = true;
  }
  if (pushed) BellRing(&control_->reply_bell);
}

int Channel::Pop(Message& message) {
  ChannelEntry entry;
  if (int found = RingPop(&control_->from_worker, &entry); found <= 0) return found;
  order_.Take();
  BellRing(&control_->room_bell);  // always: who found the ring full may be just about to sleep
  if (entry.offset % kBlockAlign != 0 || entry.offset < kBlockHeader || entry.offset > sizes_.most || entry.length < 4 ||
      entry.length > sizes_.most - entry.offset)
    return -1;
  if (entry.offset + entry.length > worker_size_) {
    struct stat file{};
    if (::fstat(worker_fd_.get(), &file) != 0) return -1;
    worker_size_ = static_cast<std::uint64_t>(file.st_size);
    if (entry.offset + entry.length > worker_size_) return -1;
  }
  char* content = worker_base_ + entry.offset;
  std::uint32_t length = 0;
  std::memcpy(&length, content, sizeof(length));
  std::uint64_t start = AlignBlock(sizeof(length) + static_cast<std::uint64_t>(length));
  if (sizeof(length) + static_cast<std::uint64_t>(length) > entry.length) return -1;
  message.block = std::make_shared<Borrowed>(shared_from_this(), content);
  message.packed = {content + sizeof(length), length};
  message.tensors = content + std::min(start, entry.length);
  message.tensors_size = entry.length > start ? entry.length - start : 0;
  return 1;
}

void Channel::GiveBack(char* content) {
  order_.Give();
  BlockRelease(content);
}

void Channel::Trim() {
  std::lock_guard lock(mutex_);
  ArenaTrim(&arena_);
}

}  // namespace nereid::python

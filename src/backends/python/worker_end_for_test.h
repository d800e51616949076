// The worker's end of a channel, in the test's own process.
#pragma once

#include <sys/mman.h>

#include <optional>
#include <string>

#include "backends/python/channel.h"

namespace nereid::python {

class WorkerEnd {
 public:
  explicit WorkerEnd(Channel& channel) : channel_(channel), sizes_(channel.sizes()) {
    in_ = Map(channel.server_region_fd());
    out_ = Map(channel.worker_region_fd());
    ArenaInit(&arena_, out_, channel.worker_region_fd(), sizes_.initial, sizes_.growth, sizes_.most);
  }
  ~WorkerEnd() {
    ArenaEnd(&arena_);
    ::munmap(in_, sizes_.most);
    ::munmap(out_, sizes_.most);
  }

  struct Taken {
    std::string packed;
    char* content;  // give back with BlockRelease
    std::string_view tensors;
  };
  std::optional<Taken> TakeCall() { return Take(channel_.control().calls); }
  std::optional<Taken> TakeReply() { return Take(channel_.control().replies); }

  // Says `packed`, with `tensors` behind it. False: there is no room.
  bool Say(std::string_view packed, std::string_view tensors = {}) {
    auto length = static_cast<std::uint32_t>(packed.size());
    std::uint64_t start = AlignBlock(sizeof length + packed.size());
    char* content = ArenaAllocate(&arena_, start + tensors.size(), !tensors.empty());
    if (!content) return false;
    std::memcpy(content, &length, sizeof length);
    std::memcpy(content + sizeof length, packed.data(), packed.size());
    if (!tensors.empty()) std::memcpy(content + start, tensors.data(), tensors.size());
    return SayEntry({static_cast<std::uint64_t>(content - out_), start + tensors.size()});
  }
  bool SayEntry(ChannelEntry entry) { return RingPush(&channel_.control().from_worker, entry) != 0; }

  char* region() { return out_; }
  Arena& arena() { return arena_; }

 private:
  char* Map(int fd) { return static_cast<char*>(::mmap(nullptr, sizes_.most, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0)); }
  std::optional<Taken> Take(ChannelRing& ring) {
    ChannelEntry entry;
    if (RingPop(&ring, &entry) <= 0) return std::nullopt;
    char* content = in_ + entry.offset;
    std::uint32_t length;
    std::memcpy(&length, content, sizeof length);
    std::uint64_t start = AlignBlock(sizeof length + length);
    return Taken{std::string(content + sizeof length, length), content, {content + start, entry.length - start}};
  }

  Channel& channel_;
  const RegionSizes sizes_;
  char* in_;
  char* out_;
  Arena arena_{};
};

}  // namespace nereid::python

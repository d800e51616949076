// What this process may use: cgroup limits and affinity, not what the hardware has.
#pragma once

#include <cstdint>

namespace nereid {

struct Machine {
  int cores = 1;                   // affinity and cpu.max, rounded down, at least 1
  std::uint64_t memory_bytes = 0;  // memory.max of the cgroup, else all of it
};

// Reads /proc and /sys/fs/cgroup; a few file reads.
Machine ReadMachine();

}  // namespace nereid

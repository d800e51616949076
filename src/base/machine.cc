#include "base/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace nereid {
namespace {

std::string FirstLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

int QuotaCores() {
  std::string line = FirstLine("/sys/fs/cgroup/cpu.max");  // "max 100000" or "200000 100000"
  if (line.empty() || line.starts_with("max")) return 0;
  try {
    std::size_t end = 0;
    double quota = std::stod(line, &end), period = std::stod(line.substr(end));
    return period > 0 ? std::max(1, static_cast<int>(quota / period)) : 0;
  } catch (const std::exception&) {
    return 0;
  }
}

}  // namespace

Machine ReadMachine() {
  Machine machine;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) machine.cores = std::max(1, CPU_COUNT(&set));
  if (int quota = QuotaCores(); quota > 0) machine.cores = std::min(machine.cores, quota);
  machine.memory_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::string limit = FirstLine("/sys/fs/cgroup/memory.max");
  if (!limit.empty() && limit != "max") {
    try {
      machine.memory_bytes = std::min<std::uint64_t>(machine.memory_bytes, std::stoull(limit));
    } catch (const std::exception&) {  // an unreadable limit is no limit
    }
  }
  return machine;
}

}  // namespace nereid

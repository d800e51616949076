// What a load run saw.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"

namespace nereid::cli {

// Latencies kept one by one: exact percentiles, 8 bytes each.
class Samples {
 public:
  void Add(Nanos value) { values_.push_back(value.count()); }
  // p in 0..100; 0 when there is none. Sorts.
  double Percentile(double p);
  std::size_t count() const { return values_.size(); }

 private:
  std::vector<std::int64_t> values_;
  bool sorted_ = false;
};

struct Record {
  Samples latency, first_byte, gap;  // gap: between two reads of one streamed answer
  std::uint64_t requests = 0, events = 0;
  std::map<std::string, std::uint64_t> errors;  // by kind: "connect", "status 503", "cut", ...
};

// CPU time of a process in seconds, user and system, all threads but those whose name starts with `except` (empty: none left out).
double CpuSeconds(int pid, const std::string& except);
// Of the threads whose name starts with `prefix`.
double CpuSecondsOf(int pid, const std::string& prefix);

}  // namespace nereid::cli

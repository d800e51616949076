// Time, handed in so that tests can hold it. Waits use the steady clock, rows UTC wall time.
#pragma once

#include <chrono>

namespace nereid {

using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;
using Nanos = std::chrono::nanoseconds;
using Micros = std::chrono::microseconds;
using Millis = std::chrono::milliseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime Steady() const = 0;
  virtual WallTime Wall() const = 0;
};

// The machine's clock. Any thread; lives for ever.
const Clock& SystemClock();

// A clock that a test moves.
class FakeClock final : public Clock {
 public:
  SteadyTime Steady() const override { return steady_; }
  WallTime Wall() const override { return wall_; }
  void Advance(Nanos by) {
    steady_ += std::chrono::duration_cast<SteadyTime::duration>(by);
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }

 private:
  SteadyTime steady_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
};

// A point in steady time by which the work must be done; by default there is none.
class Deadline {
 public:
  Deadline() = default;
  explicit Deadline(SteadyTime at) : at_(at) {}
  static Deadline After(SteadyTime now, Nanos wait) { return Deadline(now + std::chrono::duration_cast<SteadyTime::duration>(wait)); }

  bool set() const { return at_ != SteadyTime::max(); }
  SteadyTime at() const { return at_; }
  bool Passed(SteadyTime now) const { return now >= at_; }
  Deadline Earlier(Deadline other) const { return at_ < other.at_ ? *this : other; }

 private:
  SteadyTime at_ = SteadyTime::max();
};

}  // namespace nereid

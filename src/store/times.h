// Wall times as the tables hold them: Unix microseconds.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace nereid::store {

inline std::int64_t ToMicros(WallTime at) {
  return std::chrono::duration_cast<Micros>(at.time_since_epoch()).count();
}
inline WallTime FromMicros(std::int64_t micros) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(Micros(micros)));
}

}  // namespace nereid::store

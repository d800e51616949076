#include "base/ids.h"

#include <sys/random.h>

#include <cstring>
#include <random>

#include "base/status.h"

namespace nereid {
namespace {

std::mt19937_64& ThreadRandom() {
  thread_local std::mt19937_64 random = [] {
    std::string seed = RandomBytes(32);
    std::seed_seq sequence(seed.begin(), seed.end());
    return std::mt19937_64(sequence);
  }();
  return random;
}

}  // namespace

std::array<char, 36> RequestId::Digits() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::array<char, 36> text;
  char* to = text.data();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *to++ = '-';
    *to++ = kHex[bytes[i] >> 4];
    *to++ = kHex[bytes[i] & 15];
  }
  return text;
}

std::string RequestId::ToString() const {
  std::array<char, 36> text = Digits();
  return {text.data(), text.size()};
}

RequestId NewRequestId(WallTime now) {
  RequestId id;
  auto ms = static_cast<std::uint64_t>(std::chrono::duration_cast<Millis>(now.time_since_epoch()).count());
  for (int i = 0; i < 6; ++i) id.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(ms >> (8 * (5 - i)));
  std::uint64_t random[2] = {ThreadRandom()(), ThreadRandom()()};
  std::memcpy(&id.bytes[6], random, 10);
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x70);  // version 7
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);  // RFC variant
  return id;
}

std::string RandomBytes(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t done = 0; done < size;) {
    ssize_t got = ::getrandom(bytes.data() + done, size - done, 0);
    NEREID_CHECK(got > 0);
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace nereid

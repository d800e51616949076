// SHA-256, for key secrets and the ledger's hash chain.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace nereid {

using Sha256Digest = std::array<std::uint8_t, 32>;

// Any thread; allocates nothing after a thread's first call.
Sha256Digest Sha256(std::string_view bytes);

// The same over pieces. One thread at a time.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;

  void Add(std::string_view bytes);
  Sha256Digest Finish();  // and starts anew

 private:
  void* context_;
};

}  // namespace nereid

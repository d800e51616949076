// CRC-32C (Castagnoli), which x86 computes by an instruction.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nereid::store {

std::uint32_t Crc32c(const void* bytes, std::size_t size);

}  // namespace nereid::store

// Reads a GGUF file's table of contents before llama.cpp does, which may abort the process on a broken file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/status.h"

namespace nereid::llama {

struct GgufSummary {
  std::string architecture;  // general.architecture
  std::uint64_t key_count = 0, tensor_count = 0;
  std::uint64_t tensor_bytes = 0;  // from the data section's start to the last tensor's end
};

// Checks magic, version, that every key and tensor lies inside the file, tensor types, shapes and alignment, and that there is an
// architecture and a tokenizer. Errors name the file. Reads the head through a small buffer; blocks.
Result<GgufSummary> CheckGguf(const std::filesystem::path& file);

}  // namespace nereid::llama

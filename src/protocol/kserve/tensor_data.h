// Tensor elements in JSON, both ways, straight to and from wire form.
#pragma once

#include <string>

#include "api/tensor.h"
#include "codec/json_reader.h"

namespace nereid::kserve {

// Reads the value of `data`, an array (nested or flat), as `count` elements. Errors have Triton's texts, whole.
Result<std::string> ReadData(json::Reader& reader, Datatype datatype, std::int64_t count);

// Appends the elements, comma-separated. FP16 and BF16 are numbers here too (Triton refuses them).
Result<Nothing> AppendData(std::string& out, Datatype datatype, std::string_view wire);

double HalfToDouble(std::uint16_t bits);
double BrainToDouble(std::uint16_t bits);

}  // namespace nereid::kserve

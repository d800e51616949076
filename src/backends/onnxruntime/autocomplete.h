// What an ONNX file says about its config, and whether a config agrees with it. Pure.
#pragma once

#include <vector>

#include "backends/onnxruntime/session.h"

namespace nereid::onnxruntime {

// Fills inputs, outputs, max_batch_size and dynamic batching where the config leaves them out.
void CompleteConfig(const std::vector<Port>& inputs, const std::vector<Port>& outputs, int default_max_batch_size,
                    inference::ModelConfig& config);
// Every input and output of the config is one of the file's, with its datatype and a shape that fits; required ones are not missing.
Result<Nothing> CheckConfig(const std::vector<Port>& inputs, const std::vector<Port>& outputs, const inference::ModelConfig& config);

}  // namespace nereid::onnxruntime

// The typed contents of a tensor in a message (InferTensorContents) -> wire form.
#pragma once

#include "api/tensor.h"

namespace inference {
class ModelInferRequest_InferInputTensor;
}

namespace nereid::grpc_front {

// Exactly one kind of contents, the one of `datatype`; a value that the datatype cannot hold is an error, unlike Triton's wrap.
Result<Bytes> ContentsBytes(const inference::ModelInferRequest_InferInputTensor& input, Datatype datatype, const std::string& model);

}  // namespace nereid::grpc_front

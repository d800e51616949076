// The classification extension: the n greatest values of an output, as texts "value:index[:label]". Pure.
#pragma once

#include "api/infer.h"
#include "api/model_service.h"

namespace nereid::kserve {

// BYTES of shape [rows, n] (`batched`) or [n]; n is `classes`, or all values of a row where it has fewer. Equal values keep their order,
// not-a-number comes last. Errors: a datatype that has no order, a row too long, a shape that its bytes do not fill.
Result<Tensor> Classify(const Tensor& tensor, std::uint64_t classes, const Labels& labels, bool batched);

}  // namespace nereid::kserve

// A model's counters as the message of ModelStatistics.
#pragma once

#include "api/model_service.h"

namespace inference {
class ModelStatistics;
}

namespace nereid::grpc_front {

void FillStatistics(const ModelStats& stats, inference::ModelStatistics& out);

}  // namespace nereid::grpc_front

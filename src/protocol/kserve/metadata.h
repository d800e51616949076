// The JSON documents of KServe v2 besides infer: metadata, config, statistics, index. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "api/model_service.h"

namespace google::protobuf {
class Message;
}

namespace nereid::kserve {

std::string RenderServerMetadata(std::string_view name, std::string_view version, std::span<const std::string> extensions);
// `one_version`: the request named the version, so only that one is listed.
std::string RenderModelMetadata(const ModelInfo& model, bool one_version);
// Proto field names, every plain field with its default, 64-bit integers as numbers, enums as names: as Triton prints a ModelConfig.
std::string RenderConfig(const google::protobuf::Message& config);
std::string RenderStatistics(const std::vector<ModelStats>& stats);
std::string RenderIndex(const std::vector<IndexEntry>& index);

// What this server offers of Triton's extensions, in Triton's order.
const std::vector<std::string>& Extensions();

}  // namespace nereid::kserve

#include "protocol/kserve/metadata.h"

#include <gtest/gtest.h>

#include "proto/model_config.pb.h"

namespace nereid::kserve {
namespace {

TEST(Metadata, AModelListsItsVersionsUnlessOneWasAskedFor) {
  ModelInfo model;
  model.name = "m";
  model.version = 3;
  model.versions = {1, 3};
  model.platform = "onnxruntime_onnx";
  model.inputs = {{"I", Datatype::kFp32, {-1, 4}}};
  model.outputs = {{"O", Datatype::kBytes, {1}}};
  EXPECT_EQ(RenderModelMetadata(model, false),
            R"({"name":"m","versions":["1","3"],"platform":"onnxruntime_onnx","inputs":[{"name":"I","datatype":"FP32","shape":[-1,4]}],)"
            R"("outputs":[{"name":"O","datatype":"BYTES","shape":[1]}]})");
  EXPECT_NE(RenderModelMetadata(model, true).find(R"("versions":["3"])"), std::string::npos);
}

TEST(Metadata, AConfigShowsEveryPlainFieldWithItsDefault) {
  inference::ModelConfig config;
  config.set_name("m");
  config.set_max_batch_size(8);
  auto* input = config.add_input();
  input->set_name("I");
  input->set_data_type(inference::TYPE_INT32);
  input->add_dims(-1);
  config.mutable_dynamic_batching()->set_max_queue_delay_microseconds(18446744073709551615U);
  (*config.mutable_parameters())["k"].set_string_value("v");
  std::string json = RenderConfig(config);
  EXPECT_TRUE(json.starts_with(R"({"name":"m","platform":"","backend":"","runtime":"")")) << json;
  for (std::string_view part :
       {R"("max_batch_size":8)", R"("data_type":"TYPE_INT32")", R"("format":"FORMAT_NONE")", R"("dims":[-1])", R"("optional":false)",
        R"("max_queue_delay_microseconds":18446744073709551615)", R"("parameters":{"k":{"string_value":"v"}})", R"("output":[])"})
    EXPECT_NE(json.find(part), std::string::npos) << part << "\n" << json;
  EXPECT_EQ(json.find("sequence_batching"), std::string::npos) << "a message that is not set";
}

TEST(Metadata, AnIndexEntryThatWasNeverLoadedIsOnlyAName) {
  EXPECT_EQ(RenderIndex({{"a", std::nullopt, "", ""}, {"b", 1, "UNAVAILABLE", "unloaded"}}),
            R"([{"name":"a"},{"name":"b","version":"1","state":"UNAVAILABLE","reason":"unloaded"}])");
}

TEST(Metadata, StatisticsHaveTritonsKeys) {
  ModelStats stats;
  stats.name = "m";
  stats.success = {2, 30};
  stats.batches = {{4, {1, 2}, {3, 4}, {5, 6}}};
  EXPECT_EQ(
      RenderStatistics({stats}),
      R"({"model_stats":[{"name":"m","version":"1","last_inference":0,"inference_count":0,"execution_count":0,"inference_stats":{"success":{"count":2,"ns":30},)"
      R"("fail":{"count":0,"ns":0},"queue":{"count":0,"ns":0},"compute_input":{"count":0,"ns":0},"compute_infer":{"count":0,"ns":0},)"
      R"("compute_output":{"count":0,"ns":0},"cache_hit":{"count":0,"ns":0},"cache_miss":{"count":0,"ns":0}},"response_stats":{},)"
      R"("batch_stats":[{"batch_size":4,"compute_input":{"count":1,"ns":2},"compute_infer":{"count":3,"ns":4},"compute_output":{"count":5,"ns":6}}],)"
      R"("memory_usage":[]}]})");
}

}  // namespace
}  // namespace nereid::kserve

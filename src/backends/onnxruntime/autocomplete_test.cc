#include "backends/onnxruntime/autocomplete.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace nereid::onnxruntime {
namespace {

inference::ModelConfig Read(const std::string& text) {
  inference::ModelConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &config)) << text;
  return config;
}

std::string Completed(const std::vector<Port>& inputs, const std::vector<Port>& outputs, const std::string& text) {
  inference::ModelConfig config = Read(text);
  CompleteConfig(inputs, outputs, 4, config);
  std::string out;
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.PrintToString(config, &out);
  return out;
}

const std::vector<Port> kIn{{"x", Datatype::kFp32, {-1, 3}}}, kOut{{"y", Datatype::kInt64, {-1}}};

TEST(CompleteConfig, AFileWhoseFirstDimensionVariesBatches) {
  EXPECT_EQ(Completed(kIn, kOut, ""),
            "max_batch_size: 4 input { name: \"x\" data_type: TYPE_FP32 dims: 3 } "
            "output { name: \"y\" data_type: TYPE_INT64 dims: 1 reshape { } } dynamic_batching { } ");
}

TEST(CompleteConfig, AFixedFirstDimensionDoesNot) {
  EXPECT_EQ(Completed({{"x", Datatype::kFp32, {1, 3}}}, kOut, ""),
            "input { name: \"x\" data_type: TYPE_FP32 dims: 1 dims: 3 } output { name: \"y\" data_type: TYPE_INT64 dims: -1 } ");
}

TEST(CompleteConfig, WhatTheConfigSaysStays) {
  EXPECT_EQ(Completed(kIn, kOut, "max_batch_size: 8 input { name: \"x\" dims: 3 }"),
            "max_batch_size: 8 input { name: \"x\" data_type: TYPE_FP32 dims: 3 } "
            "output { name: \"y\" data_type: TYPE_INT64 dims: 1 reshape { } } ");
}

TEST(CheckConfig, NamesWhatDoesNotFit) {
  auto message = [](const std::string& text) {
    auto config = Read("name: \"m\" " + text);
    auto checked = CheckConfig(kIn, kOut, config);
    return checked ? "ok" : checked.error().message;
  };
  const std::string in = "input { name: \"x\" data_type: TYPE_FP32 dims: 3 } ";
  EXPECT_EQ(message("max_batch_size: 8 " + in), "ok");
  EXPECT_EQ(message("input { name: \"x\" data_type: TYPE_FP32 dims: -1 dims: 3 } "), "ok");
  EXPECT_EQ(message("max_batch_size: 8 input { name: \"z\" data_type: TYPE_FP32 dims: 3 } "),
            "unable to load model 'm', input 'z': the model has no such input, it has: x");
  EXPECT_EQ(message("max_batch_size: 8 input { name: \"x\" data_type: TYPE_INT8 dims: 3 } "),
            "unable to load model 'm', input 'x': the configuration expects datatype TYPE_INT8, the model provides TYPE_FP32");
  EXPECT_EQ(message("max_batch_size: 8 input { name: \"x\" data_type: TYPE_FP32 dims: 4 } "),
            "unable to load model 'm', input 'x': the model has 2 dimensions (shape [-1,3]) but the configuration asks for 2 "
            "(shape [-1,4], with the batch dimension that max_batch_size adds)");
  EXPECT_EQ(message("max_batch_size: 8"),
            "unable to load model 'm', configuration expects 0 inputs, model provides 1: input 'x' is missing in the configuration");
}

}  // namespace
}  // namespace nereid::onnxruntime

#include "models/validate.h"

#include <gtest/gtest.h>

#include <google/protobuf/text_format.h>

namespace nereid::models {
namespace {

constexpr char kConfig[] = R"(name: "m" max_batch_size: 4
  input [ { name: "A" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "S" data_type: TYPE_STRING dims: [ 1 ] optional: true } ]
  output [ { name: "O" data_type: TYPE_FP32 dims: [ 2 ] } ])";

RequestRules Rules(const std::string& text = kConfig) {
  inference::ModelConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &config));
  return RequestRules(config);
}

InferRequest Request(Shape shape = {1, 2}, std::size_t bytes = 8, Datatype datatype = Datatype::kFp32) {
  InferRequest request;
  request.inputs.push_back({"A", datatype, std::move(shape), Bytes::Own(std::string(bytes, '\0'))});
  return request;
}

std::string Refusal(InferRequest request, const RequestRules& rules = Rules()) {
  auto checked = rules.Check(request);
  return checked ? "" : checked.error().message;
}

TEST(Validate, TakesWhatFits) {
  EXPECT_EQ(Refusal(Request()), "");
  EXPECT_EQ(Refusal(Request({4, 2}, 32)), "");
}

TEST(Validate, NamesTheRequestInItsTexts) {
  InferRequest request = Request({1, 3}, 12);
  request.client_id = "7";
  EXPECT_TRUE(
      Refusal(request).starts_with("[request id: 7] unexpected shape for input 'A' for model 'm'. Expected [-1,2], got [1,3]. NOTE: "));
  request.client_id.clear();
  EXPECT_TRUE(Refusal(request).starts_with("[request id: <id_unknown>] "));
}

TEST(Validate, RefusesInTritonsWords) {
  EXPECT_EQ(Refusal(Request({5, 2}, 40)), "[request id: <id_unknown>] inference request batch-size must be <= 4 for 'm'");
  EXPECT_EQ(Refusal(Request({}, 8)), "[request id: <id_unknown>] input 'A' has no shape but model requires batch dimension for 'm'");
  EXPECT_EQ(Refusal(Request({1, 2}, 8, Datatype::kInt32)),
            "[request id: <id_unknown>] inference input 'A' data-type is 'INT32', but model 'm' expects 'FP32'");
  EXPECT_EQ(Refusal(Request({1, 2}, 7)),
            "[request id: <id_unknown>] input byte size mismatch for input 'A' for model 'm'. Expected 8, got 7");
  InferRequest output = Request();
  output.requested_outputs = {"P"};
  EXPECT_EQ(Refusal(output), "unexpected inference output 'P' for model 'm'");
  InferRequest none;
  EXPECT_EQ(
      Refusal(none),
      "[request id: <id_unknown>] expected number of inputs between 1 and 2 but got 0 inputs for model 'm'. Got input(s) [], but missing required input(s) ['A']. Please "
      "provide all required input(s).");
  InferRequest twice = Request();
  twice.inputs.push_back(twice.inputs.front());
  EXPECT_EQ(Refusal(twice), "[request id: <id_unknown>] input 'A' already exists in request");
}

TEST(Validate, CountsTheElementsOfABytesTensor) {
  auto with = [](std::string wire) {
    InferRequest request = Request();
    request.inputs.push_back({"S", Datatype::kBytes, {1, 1}, Bytes::Own(std::move(wire))});
    return request;
  };
  std::string one;
  AppendBytesElement(one, "abc");
  EXPECT_EQ(Refusal(with(one)), "");
  EXPECT_EQ(Refusal(with("")), "[request id: <id_unknown>] expected 1 string elements for inference input 'S' for model 'm', got 0");
  EXPECT_EQ(Refusal(with(one + one)),
            "[request id: <id_unknown>] unexpected number of string elements 2 for inference input 'S' for model 'm', expecting 1");
  EXPECT_NE(Refusal(with(one.substr(0, 5))), "");
  EXPECT_NE(Refusal(with("ab")), "");
}

TEST(Validate, ARawBodyTakesItsShapeFromTheModel) {
  RequestRules rules = Rules(R"(name: "m" input [ { name: "A" data_type: TYPE_INT16 dims: [ 2, -1 ] } ])");
  InferRequest request;
  request.raw = true;
  request.inputs.push_back({"", Datatype::kInvalid, {}, Bytes::Own(std::string(12, '\0'))});
  ASSERT_TRUE(rules.Check(request));
  EXPECT_EQ(request.inputs[0].name, "A");
  EXPECT_EQ(request.inputs[0].shape, (Shape{2, 3}));
}

TEST(Validate, ShapesThatOverflowAreRefusedNotMultiplied) {
  RequestRules rules = Rules(R"(name: "m" input [ { name: "A" data_type: TYPE_FP32 dims: [ -1, -1 ] } ])");
  EXPECT_NE(Refusal(Request({std::int64_t{1} << 40, std::int64_t{1} << 40}, 8), rules), "");
  EXPECT_NE(Refusal(Request({std::int64_t{1} << 61, 1}, 8), rules), "");
}

}  // namespace
}  // namespace nereid::models

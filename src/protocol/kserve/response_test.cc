// Infer and generate answers, and the generate request.
#include <gtest/gtest.h>

#include "protocol/kserve/generate.h"
#include "protocol/kserve/infer_response.h"

namespace nereid::kserve {
namespace {

template <class T>
Tensor TensorOf(std::string name, Datatype datatype, Shape shape, std::vector<T> values) {
  std::string wire(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return {std::move(name), datatype, std::move(shape), Bytes::Own(std::move(wire))};
}

Tensor Strings(std::string name, Shape shape, const std::vector<std::string>& values) {
  std::string wire;
  for (const std::string& value : values) AppendBytesElement(wire, value);
  return {std::move(name), Datatype::kBytes, std::move(shape), Bytes::Own(std::move(wire))};
}

InferResponse ResponseOf(std::vector<Tensor> outputs) {
  InferResponse response;
  response.model_name = "m";
  response.model_version = 1;
  response.outputs = std::move(outputs);
  return response;
}

std::vector<std::string> Texts(const Tensor& tensor) {
  auto elements = SplitBytes(tensor.data.view());
  return elements ? std::vector<std::string>(elements->begin(), elements->end()) : std::vector<std::string>{"no BYTES"};
}

TEST(InferResponse, JsonOutputsComeInTritonsForm) {
  InferResponse response = ResponseOf({TensorOf<float>("F", Datatype::kFp32, {1, 2}, {0.1F, 2}), Strings("S", {1}, {"a\"b"}),
                                       TensorOf<char>("B", Datatype::kBool, {2}, {1, 0})});
  response.client_id = "id-1";
  response.parameters = {{"p", std::int64_t{5}}, {"q", true}};
  auto rendered = RenderInferResponse(response, {}, false, {}, 0);
  ASSERT_TRUE(rendered);
  EXPECT_EQ(rendered->json, R"({"id":"id-1","model_name":"m","model_version":"1","parameters":{"p":5,"q":true},"outputs":[)"
                            R"({"name":"F","datatype":"FP32","shape":[1,2],"data":[0.10000000149011612,2.0]},)"
                            R"({"name":"S","datatype":"BYTES","shape":[1],"data":["a\"b"]},)"
                            R"({"name":"B","datatype":"BOOL","shape":[2],"data":[true,false]}]})");
  EXPECT_FALSE(rendered->has_binary);
}

TEST(InferResponse, BinaryOutputsAreThePiecesThemselves) {
  InferResponse response =
      ResponseOf({TensorOf<std::uint8_t>("A", Datatype::kUint8, {2}, {1, 2}), TensorOf<std::uint8_t>("B", Datatype::kUint8, {1}, {3})});
  auto rendered = RenderInferResponse(response, {{"A", true, 0}, {"B", false, 0}}, false, {}, 0);
  ASSERT_TRUE(rendered);
  EXPECT_TRUE(rendered->has_binary);
  ASSERT_EQ(rendered->binary.size(), 1U);
  EXPECT_EQ(rendered->binary[0].data(), response.outputs[0].data.data());
  EXPECT_NE(rendered->json.find(R"("shape":[2],"parameters":{"binary_data_size":2})"), std::string::npos);
  EXPECT_NE(rendered->json.find(R"("data":[3])"), std::string::npos);
}

TEST(InferResponse, AnEmptyBinaryOutputLeavesTheAnswerJson) {
  auto rendered = RenderInferResponse(ResponseOf({TensorOf<float>("A", Datatype::kFp32, {1, 0}, {})}), {}, true, {}, 0);
  ASSERT_TRUE(rendered);
  EXPECT_FALSE(rendered->has_binary);
}

TEST(InferResponse, HalfFloatsHaveNoJsonForm) {
  auto rendered = RenderInferResponse(ResponseOf({TensorOf<std::uint16_t>("A", Datatype::kFp16, {1}, {0x3c00})}), {}, false, {}, 0);
  ASSERT_FALSE(rendered);
  EXPECT_EQ(rendered.error().message, "sending FP16 data via JSON is not supported. Please use the binary data format for output");
}

ModelInfo TextModel() {
  ModelInfo model;
  model.name = "textgen";
  model.inputs = {{"text_input", Datatype::kBytes, {1}},
                  {"max_tokens", Datatype::kInt32, {1}},
                  {"words", Datatype::kBytes, {-1}},
                  {"half", Datatype::kFp16, {1}}};
  return model;
}

std::string GenerateRefusal(std::string_view body) {
  auto request = ParseGenerateRequest(TextModel(), body, 1 << 20);
  return request ? "accepted" : request.error().message;
}

TEST(Generate, MembersNamedLikeInputsAreTensorsAndTheOthersParameters) {
  auto request = ParseGenerateRequest(
      TextModel(), R"({"id":"s1","text_input":"hi","words":["x","y"],"parameters":{"max_tokens":3,"user":"me"},"p":0.25})", 1 << 20);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->client_id, "s1");
  ASSERT_EQ(request->inputs.size(), 3U);
  EXPECT_EQ(Texts(request->inputs[0]), std::vector<std::string>{"hi"});
  EXPECT_EQ(request->inputs[1].shape, Shape{2});
  EXPECT_EQ(request->inputs[2].name, "max_tokens");
  std::vector<std::string> names;
  for (const auto& [name, value] : request->parameters) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"id", "user", "p"}));
}

TEST(Generate, RefusalsHaveTritonsTexts) {
  EXPECT_EQ(GenerateRefusal(R"({"id":5})"), "Unable to parse 'id': attempt to access JSON non-string as string");
  EXPECT_EQ(GenerateRefusal(R"({"text_input":5})"), "Unable to parse JSON bytes array: attempt to access JSON non-string as string");
  EXPECT_EQ(GenerateRefusal(R"({"max_tokens":2.5})"),
            "Unable to parse 'data': attempt to access JSON non-signed-integer as signed-integer");
  EXPECT_EQ(GenerateRefusal(R"({"zz":[1]})"), "parameter 'zz' has invalid type. It should be either 'int', 'bool', or 'string'.");
  EXPECT_EQ(GenerateRefusal(R"({"text_input":["a","b"]})"), "The schema can not convert input 'text_input' to tensor with proper shape");
  EXPECT_EQ(GenerateRefusal(R"({"half":[1.5]})"),
            "receiving FP16 data via JSON is not supported. Please use the binary data format for input half");
  EXPECT_EQ(GenerateRefusal(R"({"parameters":1})"), "Expected JSON object for keyword: 'parameters'");
  EXPECT_EQ(GenerateRefusal("{"), "failed to parse the request JSON buffer: Missing a name for object member. at 1");
}

TEST(Generate, AnAnswerIsOneFlatObjectSortedByName) {
  InferResponse response = ResponseOf({Strings("text_output", {1}, {"HI"}), TensorOf<std::int32_t>("OUT", Datatype::kInt32, {2}, {1, 2})});
  response.client_id = "q";
  response.parameters = {{"count", std::int64_t{1}}};
  auto text = RenderGenerateResponse(response);
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, R"({"OUT":[1,2],"count":1,"id":"q","model_name":"m","model_version":"1","text_output":"HI"})");
}

}  // namespace
}  // namespace nereid::kserve

#include "protocol/kserve/infer_request.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

namespace nereid::kserve {
namespace {

Result<ParsedInfer> Parse(std::string body, std::optional<std::string_view> header_length = std::nullopt, InferLimits limits = {}) {
  return ParseInferRequest("m", Bytes::Own(std::move(body)), header_length, limits);
}

std::string Refusal(std::string body, std::optional<std::string_view> header_length = std::nullopt, InferLimits limits = {}) {
  auto parsed = Parse(std::move(body), header_length, limits);
  return parsed ? "accepted" : parsed.error().message;
}

std::string Input(std::string_view datatype, std::string_view shape, std::string_view data) {
  return fmt::format(R"({{"inputs":[{{"name":"I","datatype":"{}","shape":{},"data":{}}}]}})", datatype, shape, data);
}

template <class T>
std::vector<T> Values(const Tensor& tensor) {
  std::vector<T> values(tensor.data.size() / sizeof(T));
  std::memcpy(values.data(), tensor.data.data(), values.size() * sizeof(T));
  return values;
}

TEST(InferRequest, NestedDataIsFlattenedToWireForm) {
  auto parsed = Parse(Input("INT16", "[2,2]", "[[1,-2],[3,4]]"));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(Values<std::int16_t>(parsed->request.inputs[0]), (std::vector<std::int16_t>{1, -2, 3, 4}));
}

TEST(InferRequest, MembersMayComeInAnyOrder) {
  auto parsed = Parse(R"({"inputs":[{"data":[1.5],"shape":[1],"datatype":"FP32","name":"I"}],"id":"x"})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(Values<float>(parsed->request.inputs[0]), std::vector<float>{1.5F});
  EXPECT_EQ(parsed->request.client_id, "x");
}

TEST(InferRequest, NanAndInfinityAreNumbers) {
  auto parsed = Parse(Input("FP64", "[3]", "[NaN,-Infinity,Infinity]"));
  ASSERT_TRUE(parsed) << parsed.error().message;
  auto values = Values<double>(parsed->request.inputs[0]);
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], -INFINITY);
  EXPECT_EQ(values[2], INFINITY);
}

TEST(InferRequest, StringsGetLengthPrefixes) {
  auto parsed = Parse(Input("BYTES", "[2]", R"(["ab",""])"));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->request.inputs[0].data.view(), std::string_view("\2\0\0\0ab\0\0\0\0", 10));
}

TEST(InferRequest, IntegersThatDoNotFitAreRefusedAndNotWrapped) {
  EXPECT_EQ(Refusal(Input("UINT8", "[1]", "[300]")), "Unable to parse 'data': 300 is out of range for UINT8");
  EXPECT_EQ(Refusal(Input("INT8", "[1]", "[-129]")), "Unable to parse 'data': -129 is out of range for INT8");
}

TEST(InferRequest, HugeShapesAreRefusedBeforeAnythingIsAllocated) {
  EXPECT_EQ(
      Refusal(Input("FP32", "[9223372036854775807,16]", "[1]")),
      "invalid shape for input 'I': shape [9223372036854775807,16] causes total element count to exceed maximum size of 9223372036854775807");
  EXPECT_EQ(Refusal(Input("FP32", "[1,1099511627776]", "[1]")),
            "JSON input 'I' has a byte_size (4398046511104 bytes) that exceeds the maximum allowed value of 67108864 bytes. Use "
            "--http-max-input-size to increase the limit.");
  EXPECT_EQ(Refusal(Input("FP64", "[4611686018427387904]", "[1]")),
            "byte size overflow for input 'I': element count (4611686018427387904) * data type size (8) exceeds maximum allowed size "
            "(9223372036854775807)");
  EXPECT_EQ(Refusal(Input("FP32", "[1,18446744073709551615]", "[1]")),
            "invalid shape for input 'I': shape [1,-1] contains one or more invalid dimensions");
}

TEST(InferRequest, BinaryTensorsAreSlicesOfTheBody) {
  std::string json = R"({"inputs":[{"name":"I","datatype":"UINT8","shape":[3],"parameters":{"binary_data_size":3}}]})";
  Bytes body = Bytes::Own(json + "abc");
  auto parsed = ParseInferRequest("m", body, std::to_string(json.size()), {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->request.inputs[0].data.data(), body.data() + json.size());
  EXPECT_EQ(parsed->request.inputs[0].data.view(), "abc");
}

TEST(InferRequest, BinaryTensorsMayLieApartFromTheirJson) {
  std::string json = R"({"inputs":[{"name":"I","datatype":"UINT8","shape":[3],"parameters":{"binary_data_size":3}},)"
                     R"({"name":"J","datatype":"UINT8","shape":[2],"parameters":{"binary_data_size":2}}]})";
  Bytes tail = Bytes::Own(std::string("abcde"));
  auto parsed = ParseInferRequest("m", Bytes::Own(json), std::to_string(json.size()), {}, tail);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->request.inputs[0].data.data(), tail.data());
  EXPECT_EQ(parsed->request.inputs[1].data.view(), "de");
  EXPECT_EQ(ParseInferRequest("m", Bytes::Own(json), std::to_string(json.size()), {}, tail.Slice(0, 4)).error().message,
            "unexpected size for input 'J', expecting 1 additional bytes for model 'm'");
  EXPECT_FALSE(ParseInferRequest("m", Bytes::Own(json), std::to_string(json.size()), {}, Bytes::Own(std::string("abcdef"))));
  auto raw = ParseInferRequest("m", Bytes(), "0", {}, tail);
  ASSERT_TRUE(raw && raw->request.raw);
  EXPECT_EQ(raw->request.inputs[0].data.view(), "abcde");
}

TEST(InferRequest, AMisalignedBinaryTensorIsCopied) {
  std::string json = R"({"inputs":[{"name":"I","datatype":"FP64","shape":[1],"parameters":{"binary_data_size":8}}]} )";
  while (json.size() % 8 != 3) json += ' ';
  auto parsed = Parse(json + std::string(8, 'x'), std::to_string(json.size()));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(parsed->request.inputs[0].data.data()) % 8, 0U);
}

TEST(InferRequest, BinaryPartsMustFillTheBodyExactly) {
  std::string json = R"({"inputs":[{"name":"I","datatype":"UINT8","shape":[3],"parameters":{"binary_data_size":3}}]})";
  std::string length = std::to_string(json.size());
  EXPECT_EQ(Refusal(json + "ab", length), "unexpected size for input 'I', expecting 1 additional bytes for model 'm'");
  EXPECT_EQ(Refusal(json + "abcd", length), "unexpected additional input data for model 'm'");
  EXPECT_EQ(
      Refusal(json),
      "must specify valid 'Infer-Header-Content-Length' in request header and 'binary_data_size' when passing inputs in binary data format");
}

TEST(InferRequest, TheHeaderLengthIsReadAsAtoiDoes) {
  EXPECT_TRUE(Parse("{\"inputs\":[]} ", "14x"));
  auto raw = Parse("1234", "abc");
  ASSERT_TRUE(raw);
  EXPECT_TRUE(raw->request.raw);
  EXPECT_TRUE(raw->binary_default);
  EXPECT_EQ(Refusal("{}", "3"), "inference header size should be in range (0, 2), got: 3");
  EXPECT_EQ(Refusal("{}", "-1"), "inference header size should be in range (0, 2), got: -1");
  EXPECT_EQ(Refusal("{}", "99999999999"),
            "Unable to parse Inference-Header-Content-Length, value is out of range [ -2147483648, 2147483647 ], got: 99999999999");
}

TEST(InferRequest, AnEmptyBodyIsTheRawRequest) {
  auto parsed = Parse("");
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->request.raw);
}

TEST(InferRequest, ReservedParametersHaveTheirOwnPlaces) {
  auto parsed = Parse(
      R"({"inputs":[],"parameters":{"sequence_id":7,"sequence_start":true,"priority":2,"timeout":5,"binary_data_output":true,"mine":"x"}})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(std::get<std::uint64_t>(parsed->request.correlation_id), 7U);
  EXPECT_TRUE(parsed->request.sequence_start);
  EXPECT_EQ(parsed->request.priority, 2U);
  EXPECT_EQ(parsed->request.timeout_us, 5U);
  EXPECT_TRUE(parsed->binary_default);
  ASSERT_EQ(parsed->request.parameters.size(), 1U);
  EXPECT_EQ(parsed->request.parameters[0].first, "mine");
}

TEST(InferRequest, JsonPastItsLimitIsRefused) {
  EXPECT_EQ(
      Refusal(std::string(11, ' '), std::nullopt, {10}),
      "request JSON size of 11 bytes exceeds the maximum allowed input size of 10 bytes. Use --http-max-input-size to increase the limit.");
}

}  // namespace
}  // namespace nereid::kserve

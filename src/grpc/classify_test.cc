#include <limits>

#include <gtest/gtest.h>

#include "grpc/infer_response.h"

namespace nereid::grpc_front {
namespace {

template <class T>
InferResponse Scores(Datatype datatype, Shape shape, std::vector<T> values) {
  InferResponse response;
  response.outputs.push_back(
      {"S", datatype, std::move(shape), Bytes::Own(std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)))});
  return response;
}

ModelInfo Model(std::int64_t max_batch_size, std::vector<std::string> labels = {}) {
  ModelInfo model;
  model.name = "m";
  model.max_batch_size = max_batch_size;
  if (!labels.empty()) model.labels["S"] = std::move(labels);
  return model;
}

AnswerOptions Top(std::int64_t classes) {
  AnswerOptions options;
  options.classifications.push_back({"S", classes});
  return options;
}

std::vector<std::string> Texts(const InferResponse& response) {
  auto split = SplitBytes(response.outputs.at(0).data.view());
  return {split->begin(), split->end()};
}

TEST(Classify, GivesTheGreatestOfEachRowWithLabels) {
  InferResponse response = Scores<float>(Datatype::kFp32, {2, 3}, {0.1F, 0.7F, 0.2F, 4, 3, 2});
  ASSERT_TRUE(Classify(Top(2), Model(8, {"cat", "dog"}), response));
  EXPECT_EQ(response.outputs[0].datatype, Datatype::kBytes);
  EXPECT_EQ(response.outputs[0].shape, (Shape{2, 2}));
  EXPECT_EQ(Texts(response), (std::vector<std::string>{"0.700000:1:dog", "0.200000:2", "4.000000:0:cat", "3.000000:1:dog"}));
}

TEST(Classify, MoreClassesThanElementsAreClippedAndTiesKeepTheirOrder) {
  InferResponse response = Scores<std::int32_t>(Datatype::kInt32, {3}, {5, 9, 5});
  ASSERT_TRUE(Classify(Top(10), Model(0), response));
  EXPECT_EQ(response.outputs[0].shape, (Shape{3}));
  EXPECT_EQ(Texts(response), (std::vector<std::string>{"9:1", "5:0", "5:2"}));
}

TEST(Classify, NotANumberComesLast) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  InferResponse response = Scores<float>(Datatype::kFp32, {4}, {nan, 1, nan, 2});
  ASSERT_TRUE(Classify(Top(4), Model(0), response));
  EXPECT_EQ(Texts(response)[0], "2.000000:3");
  EXPECT_EQ(Texts(response)[1], "1.000000:1");
}

TEST(Classify, TypesWithoutOrderAreRefused) {
  InferResponse response = Scores<char>(Datatype::kBytes, {1}, {0, 0, 0, 0});
  EXPECT_EQ(Classify(Top(1), Model(0), response).error().message, "class result not available for output due to unsupported type 'BYTES'");
}

TEST(Classify, ShapeThatItsBytesDoNotFillIsAnError) {
  InferResponse response = Scores<float>(Datatype::kFp32, {5}, {1});
  EXPECT_EQ(Classify(Top(1), Model(0), response).error().code, Code::kInternal);
}

TEST(Classify, OtherOutputsStayAsTheyAre) {
  InferResponse response = Scores<float>(Datatype::kFp32, {1}, {1});
  response.outputs[0].name = "T";
  ASSERT_TRUE(Classify(Top(1), Model(0), response));
  EXPECT_EQ(response.outputs[0].datatype, Datatype::kFp32);
}

}  // namespace
}  // namespace nereid::grpc_front

#include "models/reshape.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace nereid::models {
namespace {

// The shape that the model sees of an input, and the client of an output that the model gave in the same shape.
struct Seen {
  Shape model, client;
};
Seen Through(const std::string& io, int max_batch_size, Shape client, Shape model) {
  inference::ModelConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "max_batch_size: " + std::to_string(max_batch_size) + " input { name: \"X\" " + io + " } output { name: \"Y\" " + io + " }",
      &config));
  Reshapes reshapes(config);
  InferRequest request;
  request.inputs.push_back({"X", Datatype::kInt32, std::move(client), {}});
  reshapes.ToModel(request);
  InferResponse response;
  response.outputs.push_back({"Y", Datatype::kInt32, std::move(model), {}});
  reshapes.ToClient(response);
  return {request.inputs[0].shape, response.outputs[0].shape};
}

TEST(Reshapes, DropAndBringBackTheOneDimOfAScalarBatch) {
  Seen seen = Through("dims: 1 reshape { }", 8, {3, 1}, {3});
  EXPECT_EQ(seen.model, Shape{3});
  EXPECT_EQ(seen.client, (Shape{3, 1}));
}

TEST(Reshapes, KeepVariableDimsInTheirOrder) {
  Seen seen = Through("dims: [ -1, 4, -1 ] reshape { shape: [ 2, -1, 2, -1 ] }", 0, {5, 4, 7}, {2, 5, 2, 7});
  EXPECT_EQ(seen.model, (Shape{2, 5, 2, 7}));
  EXPECT_EQ(seen.client, (Shape{5, 4, 7}));
}

TEST(Reshapes, LeaveAloneWhatDoesNotFit) {
  EXPECT_EQ(Through("dims: [ 4 ] reshape { shape: [ 2, 2 ] }", 0, {4}, {3, 3}).client, (Shape{3, 3}));
  EXPECT_EQ(Through("dims: [ 4 ]", 0, {4}, {4}).model, Shape{4});
}

}  // namespace
}  // namespace nereid::models

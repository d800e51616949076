#include "protocol/kserve/classify.h"

#include <limits>

#include <gtest/gtest.h>

namespace nereid::kserve {
namespace {

template <class T>
Tensor Scores(Datatype datatype, Shape shape, std::vector<T> values) {
  return {"S", datatype, std::move(shape),
          Bytes::Own(std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)))};
}

std::vector<std::string> Texts(const Tensor& tensor) {
  auto split = SplitBytes(tensor.data.view());
  return {split->begin(), split->end()};
}

TEST(Classify, GivesTheGreatestOfEachRowWithLabels) {
  auto best =
      Classify(Scores<float>(Datatype::kFp32, {2, 4}, {0.1F, 0.7F, 0.05F, 0.15F, 4, 3, 2, 1}), 2, {{"S", {"cat", "dog", ""}}}, true);
  ASSERT_TRUE(best) << best.error().message;
  EXPECT_EQ(best->name, "S");
  EXPECT_EQ(best->datatype, Datatype::kBytes);
  EXPECT_EQ(best->shape, (Shape{2, 2}));
  EXPECT_EQ(Texts(*best), (std::vector<std::string>{"0.700000:1:dog", "0.150000:3", "4.000000:0:cat", "3.000000:1:dog"}));
}

TEST(Classify, AnEmptyLabelIsNone) {
  auto best = Classify(Scores<std::uint8_t>(Datatype::kUint8, {2}, {7, 200}), 2, {{"S", {"", "dog"}}, {"T", {"x", "y"}}}, false);
  EXPECT_EQ(Texts(*best), (std::vector<std::string>{"200:1:dog", "7:0"}));
}

TEST(Classify, MoreClassesThanElementsAreClippedAndTiesKeepTheirOrder) {
  auto best = Classify(Scores<std::int32_t>(Datatype::kInt32, {3}, {5, 9, 5}), std::numeric_limits<std::uint64_t>::max(), {}, false);
  ASSERT_TRUE(best);
  EXPECT_EQ(best->shape, (Shape{3}));
  EXPECT_EQ(Texts(*best), (std::vector<std::string>{"9:1", "5:0", "5:2"}));
}

TEST(Classify, NotANumberComesLast) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  auto best = Classify(Scores<float>(Datatype::kFp32, {4}, {nan, 1, nan, 2}), 4, {}, false);
  EXPECT_EQ(Texts(*best), (std::vector<std::string>{"2.000000:3", "1.000000:1", "nan:0", "nan:2"}));
}

TEST(Classify, NoRowsAndEmptyRowsHaveNoClasses) {
  EXPECT_EQ(Classify(Scores<float>(Datatype::kFp32, {0, 4}, {}), 2, {}, true)->shape, (Shape{0, 2}));
  EXPECT_EQ(Classify(Scores<float>(Datatype::kFp32, {3, 0}, {}), 2, {}, true)->shape, (Shape{3, 0}));
}

TEST(Classify, TypesWithoutOrderAreRefused) {
  auto best = Classify(Scores<char>(Datatype::kBytes, {1}, {0, 0, 0, 0}), 1, {}, false);
  EXPECT_EQ(best.error().message, "class result not available for output due to unsupported type 'BYTES'");
}

TEST(Classify, AShapeThatItsBytesDoNotFillIsAnError) {
  EXPECT_EQ(Classify(Scores<float>(Datatype::kFp32, {5}, {1}), 1, {}, false).error().code, Code::kInternal);
  EXPECT_EQ(Classify(Scores<float>(Datatype::kFp32, {2, 2}, {1, 2}), 1, {}, true).error().code, Code::kInternal);
  EXPECT_EQ(Classify(Scores<float>(Datatype::kFp32, {0}, {1}), 1, {}, false).error().code, Code::kInternal);
}

TEST(Classify, ARowWithoutBoundIsRefused) {
  auto best = Classify(Scores<float>(Datatype::kFp32, {1 << 30}, {1}), 1, {}, false);
  EXPECT_EQ(best.error().message, "classification output tensor too large");
}

}  // namespace
}  // namespace nereid::kserve

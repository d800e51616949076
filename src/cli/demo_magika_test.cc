#include "cli/demo_magika.h"

#include <gtest/gtest.h>

namespace nereid::cli {
namespace {

TEST(MagikaFeatures, HoldBothEndsWithoutOuterWhiteSpaceAndFillWith256) {
  std::vector<int> features = MagikaFeatures(" \n\tab \n");
  ASSERT_EQ(features.size(), 2048u);
  // The beginning keeps the white space after it, the end keeps the one before it.
  EXPECT_EQ((std::vector<int>(features.begin(), features.begin() + 5)), (std::vector<int>{'a', 'b', ' ', '\n', 256}));
  EXPECT_EQ((std::vector<int>(features.end() - 6, features.end())), (std::vector<int>{256, ' ', '\n', '\t', 'a', 'b'}));
}

TEST(MagikaFeatures, OfALongFileAreItsFirstAndLastBytes) {
  std::string text(3000, 'x');
  text.front() = 'A';
  text.back() = '\xff';
  std::vector<int> features = MagikaFeatures(text);
  EXPECT_EQ(features[0], 'A');
  EXPECT_EQ(features[1023], 'x');
  EXPECT_EQ(features[2047], 255);
}

TEST(MagikaFeatures, OfNothingAreNoBytes) {
  EXPECT_EQ(MagikaFeatures(""), std::vector<int>(2048, 256));
  EXPECT_EQ(MagikaFeatures(" \n"), std::vector<int>(2048, 256));
}

}  // namespace
}  // namespace nereid::cli

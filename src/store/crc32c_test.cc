#include "store/crc32c.h"

#include <gtest/gtest.h>

namespace nereid::store {
namespace {

TEST(Crc32c, HasTheStandardsCheckValue) {
  EXPECT_EQ(Crc32c("123456789", 9), 0xe3069283u);
  EXPECT_EQ(Crc32c("", 0), 0u);
}

}  // namespace
}  // namespace nereid::store

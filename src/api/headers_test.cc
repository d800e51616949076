// Every interface compiles on its own terms, and the small helpers of the vocabulary do what they say.
#include <gtest/gtest.h>

#include "api/accounts.h"
#include "api/backend.h"
#include "api/engine.h"
#include "api/key_admin.h"
#include "api/model_service.h"
#include "api/reports.h"
#include "api/store.h"
#include "api/target.h"
#include "net/exchange.h"

namespace nereid {
namespace {

TEST(ElementCount, IsNothingWhenTheProductOverflows) {
  EXPECT_EQ(ElementCount(Shape{2, 3, 4}), 24);
  EXPECT_EQ(ElementCount(Shape{}), 1);
  EXPECT_EQ(ElementCount(Shape{1L << 62, 4}), std::nullopt);
  EXPECT_EQ(ElementCount(Shape{-1, 4}), std::nullopt);
  EXPECT_EQ(ElementCount(Shape{0, 1L << 62, 1L << 62}), std::nullopt);
}

TEST(SplitBytes, RefusesALengthPastTheEnd) {
  std::string wire;
  AppendBytesElement(wire, "abc");
  AppendBytesElement(wire, "");
  EXPECT_EQ(SplitBytes(wire)->size(), 2u);
  EXPECT_FALSE(SplitBytes(std::string_view(wire).substr(0, 5)));
  EXPECT_FALSE(SplitBytes(std::string_view(wire).substr(0, 2)));
}

TEST(Datatype, NamesReadBack) {
  for (int i = 1; i <= static_cast<int>(Datatype::kBf16); ++i) {
    auto datatype = static_cast<Datatype>(i);
    EXPECT_EQ(ParseDatatype(DatatypeName(datatype)), datatype);
  }
  EXPECT_EQ(ParseDatatype("FP8"), Datatype::kInvalid);
}

}  // namespace
}  // namespace nereid

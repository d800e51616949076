#include <gtest/gtest.h>

#include <set>

#include "base/ids.h"
#include "base/money.h"
#include "base/status.h"

namespace nereid {
namespace {

TEST(Price, ReadsDecimalUsdPerMillionExactly) {
  EXPECT_EQ(ParsePricePerMillion("0.42"), 420'000'000);
  EXPECT_EQ(ParsePricePerMillion("15"), 15'000'000'000);
  EXPECT_EQ(ParsePricePerMillion("0.000000001"), 1);
}

TEST(Price, RefusesWhatIsNoDecimal) {
  for (const char* text : {"", ".", "-1", "1e3", "1.0000000001", "1,5", "99999999999999999999"})
    EXPECT_FALSE(ParsePricePerMillion(text)) << text;
}

TEST(Usd, RoundsHalfToEven) {
  EXPECT_EQ(FormatUsd(50'000, 4), "0.0000");
  EXPECT_EQ(FormatUsd(150'000, 4), "0.0002");
  EXPECT_EQ(FormatUsd(1'234'500'000, 2), "1.23");
  EXPECT_EQ(FormatUsd(-1'234'567'890, 4), "-1.2346");
}

TEST(RequestId, IsAUuidOfVersion7ThatSortsByTime) {
  FakeClock clock;
  RequestId first = NewRequestId(clock.Wall());
  clock.Advance(Millis(1));
  RequestId second = NewRequestId(clock.Wall());
  EXPECT_LT(first, second);
  std::string text = first.ToString();
  ASSERT_EQ(text.size(), 36u);
  EXPECT_EQ(text[14], '7');
}

TEST(RequestId, DoesNotRepeatWithinOneMillisecond) {
  FakeClock clock;
  std::set<RequestId> seen;
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(seen.insert(NewRequestId(clock.Wall())).second);
}

Result<int> Half(int n) {
  if (n % 2) return Error(Code::kInvalidArgument, "odd");
  return n / 2;
}
Result<int> Quarter(int n) {
  TRY(int half, Half(n));
  return Half(half);
}

TEST(Try, PassesTheFirstErrorOn) {
  EXPECT_EQ(Quarter(8), 2);
  EXPECT_EQ(Quarter(6).error().message, "odd");
}

}  // namespace
}  // namespace nereid

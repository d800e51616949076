#include "accounts/money.h"

#include <gtest/gtest.h>

namespace nereid::accounts {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

Price PriceOf(NanoUsdPerMillion input, NanoUsdPerMillion output) {
  return {.unpriced = false, .input = input, .cache_read = input, .cache_write = input, .output = output, .reasoning = output};
}
TokenUsage Tokens(std::int64_t input, std::int64_t output) {
  return {.input = input, .output = output};
}

TEST(AmountOf, IsExactForTheContractsPrices) {
  // $0.003 and $0.008 a thousand tokens are $3 and $8 a million.
  Price gpt = PriceOf(3'000'000'000, 8'000'000'000);
  EXPECT_EQ(AmountOf(Tokens(1000, 1000), gpt).value, 11'000'000);
  EXPECT_EQ(AmountOf(Tokens(1, 0), gpt).value, 3'000);
  Price deepseek = PriceOf(100'000'000, 420'000'000);
  EXPECT_EQ(AmountOf(Tokens(7, 13), deepseek).value, 700 + 5460);
}

TEST(AmountOf, AddsAllClassesBeforeItDividesOnce) {
  Price price{.unpriced = false, .input = 400'000, .cache_read = 300'000, .cache_write = 200'000, .output = 400'000, .reasoning = 100'000};
  TokenUsage one_each{1, 1, 1, 1, 1};
  EXPECT_EQ(AmountOf(one_each, price).value, 1);  // 1.4; rounding each class would give 0
}

TEST(AmountOf, RoundsHalfToEven) {
  EXPECT_EQ(AmountOf(Tokens(1, 0), PriceOf(500'000, 0)).value, 0);
  EXPECT_EQ(AmountOf(Tokens(1, 0), PriceOf(500'001, 0)).value, 1);
  EXPECT_EQ(AmountOf(Tokens(1, 0), PriceOf(1'500'000, 0)).value, 2);
  EXPECT_EQ(AmountOf(Tokens(1, 0), PriceOf(2'500'000, 0)).value, 2);
}

TEST(AmountOf, UnpricedIsNotZero) {
  EXPECT_EQ(AmountOf(Tokens(10, 10), Price{}), (Amount{0, true}));
  EXPECT_EQ(AmountOf(Tokens(10, 10), PriceOf(0, 0)), (Amount{0, false}));
}

TEST(AmountOf, ExtremesGiveTheLargestAmountAndNeverWrap) {
  EXPECT_EQ(AmountOf({kMax, kMax, kMax, kMax, kMax}, PriceOf(kMax, kMax)).value, kMax);
  EXPECT_EQ(AmountOf(Tokens(kMax, 0), PriceOf(1'000'000, 0)).value, kMax);
  EXPECT_EQ(AmountOf(Tokens(kMax, 0), PriceOf(999'999, 0)).value, 9'223'362'813'482'738'952);
  EXPECT_EQ(AmountOf(Tokens(-5, 2), PriceOf(1'000'000, 1'000'000)).value, 2);
}

TEST(UsageBound, CoversEveryChoiceUpToTheCap) {
  Request request;
  request.call.fields.max_tokens = 100;
  request.call.fields.n = 3;
  EXPECT_EQ(UsageBound(request).output, 300);
  request.call.fields.max_tokens = kMax;
  EXPECT_EQ(UsageBound(request).output, kMax);
  request.call.fields.max_tokens.reset();
  EXPECT_EQ(UsageBound(request).output, 0);
}

}  // namespace
}  // namespace nereid::accounts

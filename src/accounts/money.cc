#include "accounts/money.h"

#include <algorithm>
#include <limits>

namespace nereid::accounts {
namespace {

using Wide = unsigned __int128;
constexpr Wide kWideMax = ~Wide{0};
constexpr std::uint64_t kTokensPerPrice = 1'000'000;

Wide Product(std::int64_t tokens, NanoUsdPerMillion price) {
  return static_cast<Wide>(std::max<std::int64_t>(tokens, 0)) * static_cast<Wide>(std::max<std::int64_t>(price, 0));
}

NanoUsd Rounded(Wide sum) {
  Wide whole = sum / kTokensPerPrice;
  auto rest = static_cast<std::uint64_t>(sum % kTokensPerPrice);
  constexpr std::uint64_t kHalf = kTokensPerPrice / 2;
  if (rest > kHalf || (rest == kHalf && whole % 2 == 1)) ++whole;
  constexpr auto kLargest = static_cast<Wide>(std::numeric_limits<NanoUsd>::max());
  return static_cast<NanoUsd>(std::min(whole, kLargest));
}

}  // namespace

Amount AmountOf(const TokenUsage& usage, const Price& price) {
  if (price.unpriced) return {0, true};
  Wide sum = 0;
  for (Wide part :
       {Product(usage.input, price.input), Product(usage.cache_read, price.cache_read), Product(usage.cache_write, price.cache_write),
        Product(usage.output, price.output), Product(usage.reasoning, price.reasoning)}) {
    sum = part > kWideMax - sum ? kWideMax : sum + part;
  }
  return {Rounded(sum), false};
}

TokenUsage UsageBound(const Request& request) {
  TokenUsage bound;
  bound.input = static_cast<std::int64_t>(request.call.raw.size());
  std::int64_t cap = std::max<std::int64_t>(request.call.fields.max_tokens.value_or(0), 0);
  if (__builtin_mul_overflow(cap, std::int64_t{std::max(request.call.fields.n, 1)}, &bound.output)) {
    bound.output = std::numeric_limits<std::int64_t>::max();
  }
  return bound;
}

}  // namespace nereid::accounts

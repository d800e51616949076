// Money is an integer of nano-dollars; prices are integers of nano-dollars per million tokens. No floating point anywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace nereid {

using NanoUsd = std::int64_t;            // 10^-9 USD
using NanoUsdPerMillion = std::int64_t;  // 10^-9 USD for 10^6 tokens: "$0.42/M" is 420'000'000

// "0.42", "15", "0.0001": decimal text in USD per million tokens, at most 9 digits after the point, not negative.
Result<NanoUsdPerMillion> ParsePricePerMillion(std::string_view text);

// "0.0012" for 1'200'000 with digits = 4: rounded half to even.
std::string FormatUsd(NanoUsd amount, int digits);

}  // namespace nereid

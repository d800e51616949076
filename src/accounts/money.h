// All money arithmetic: tokens times prices. Integers only; see base/money.h for the units.
#pragma once

#include "api/accounts.h"
#include "api/target.h"
#include "api/text.h"
#include "base/money.h"

namespace nereid::accounts {

struct Amount {
  NanoUsd value = 0;
  bool unpriced = false;  // then `value` is 0 and means nothing
  friend bool operator==(const Amount&, const Amount&) = default;
};

// The exact sum over the classes, divided once by a million and rounded half to even. A sum past NanoUsd's range gives its largest value;
// negative counts or prices, which only a broken provider can name, count as 0.
Amount AmountOf(const TokenUsage& usage, const Price& price);

// No more than this can be used: every token of the input has at least one byte of the body, and the output is capped by the client or,
// when it set no cap, counted as 0 (such a request is not held against any limit).
TokenUsage UsageBound(const Request& request);

}  // namespace nereid::accounts

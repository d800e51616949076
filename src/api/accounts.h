// Keys and money at the door: who is it, may it, hold the money, settle it. Implemented in accounts/.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/request.h"
#include "api/target.h"
#include "net/task.h"

namespace nereid {

// What is known before dispatch. One a request; covers all its attempts.
struct Reservation {
  RequestId request_id;
  NanoUsd held = 0;
  std::uint64_t ledger_offset = 0;  // of the reservation's record
  std::int64_t key = 0;             // the principal's, for the settlement
  std::string task;
};

struct ReserveInput {
  const Request& request;
  std::string_view public_model;
  std::string_view target;  // first of the plan
  const Price& charge;
  const Price& dearest_cost;
};

struct Settlement {
  std::string_view public_model, target;
  const Price& charge_price;
  const Price& cost_price;
  Outcome outcome;
  int http_status = 0;  // shown to the client
  Nanos latency{};
};

class Accounts {
 public:
  virtual ~Accounts() = default;

  // `authorization`: the header's value, nothing when absent. 401 with the contract's texts. On an io thread: reads the thread's snapshot.
  virtual Result<Principal> Authenticate(std::optional<std::string_view> authorization) const = 0;

  // Writes the reservation to the ledger before dispatch. On an io thread; no wait.
  virtual Result<Reservation> Reserve(const ReserveInput& input) = 0;
  // Writes the settlement; in strict mode waits for its sync. Never loses: a failure is logged and retried by the store.
  virtual net::Task<Nothing> Settle(const Reservation& reservation, const Settlement& settlement) = 0;
};

}  // namespace nereid

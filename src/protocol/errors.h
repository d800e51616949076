// The one table that says what each Code is on the wire of each API.
#pragma once

#include <string_view>

#include "base/status.h"

namespace nereid::protocol {

struct WireError {
  Code code;
  int kserve_http;  // Triton's numbers where Triton has the code
  int openai_http;
  int grpc;  // google.rpc.Code
  std::string_view openai_type;
};

// The row of a status: that of its reason where the reason has an odd one, else that of its code.
const WireError& WireErrorOf(const Status& status);

// `error.code` of the OpenAI dialect for a reason: "model_not_found", "invalid_api_key", ...; empty: null.
std::string_view OpenAiCode(const Status& status);

// {"error":"message"}
std::string KServeErrorBody(std::string_view message);

}  // namespace nereid::protocol

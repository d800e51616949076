// What the gateway reads of a provider's answer in the OpenAI dialect: usage, the model's name to put ours in its place, and whether it is
// an error. Everything else passes as it came.
#pragma once

#include <optional>
#include <string_view>

#include "api/text.h"

namespace nereid::openai {

struct Scanned {
  std::optional<TokenUsage> usage;
  std::size_t model_begin = 0, model_end = 0;  // of the value with its quotes; both 0 when absent
  bool empty_choices = false;                  // "choices": []
  bool has_error = false;                      // "error" that is not null
};

// `json`: a whole answer, or the data of one stream event. Nothing when it is not a JSON object.
std::optional<Scanned> Scan(std::string_view json);

}  // namespace nereid::openai

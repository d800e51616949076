// What the gateway itself reads of an OpenAI request: found in one pass, the rest is forwarded as it came.
#pragma once

#include <string_view>

#include "api/request.h"

namespace nereid::openai {

// kInvalidArgument names the field that is missing, repeated or of the wrong type.
Result<LocatedFields> Locate(std::string_view body);

// The request for a provider: the model renamed and, for a stream, stream_options.include_usage switched on. `pieces` point into `body`,
// `model_json` and static text.
struct Spliced {
  std::string_view pieces[5];
  std::size_t count = 0, bytes = 0;
};
Spliced SpliceRequest(std::string_view body, const LocatedFields& fields, std::string_view model_json);

}  // namespace nereid::openai

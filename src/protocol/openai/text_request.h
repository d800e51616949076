// A chat or completions request as a TextRequest, for local models. Pure.
#pragma once

#include <string_view>

#include "api/text.h"

namespace nereid::openai {

// Fields that a local model cannot honour are errors that name them (reason "unsupported_parameter"); unknown ones are passed over.
Result<TextRequest> ParseChatRequest(std::string_view body);
Result<TextRequest> ParseCompletionRequest(std::string_view body);

}  // namespace nereid::openai

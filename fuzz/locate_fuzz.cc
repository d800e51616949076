// Request bodies of the gateway: what is located is where it says, and splicing another model in gives JSON that locates again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "protocol/openai/locate.h"
#include "protocol/openai/text_request.h"
#include "protocol/openai/usage_scan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nereid;
  std::string_view body(reinterpret_cast<const char*>(data), size);
  (void)openai::Scan(body);
  (void)openai::ParseChatRequest(body);
  (void)openai::ParseCompletionRequest(body);
  auto fields = openai::Locate(body);
  if (!fields) return 0;
  auto spliced = openai::SpliceRequest(body, *fields, "\"other\"");
  std::string out;
  for (std::size_t i = 0; i < spliced.count; ++i) out += spliced.pieces[i];
  if (out.size() != spliced.bytes) std::abort();
  auto again = openai::Locate(out);
  if (!again || again->model != "other" || again->stream != fields->stream || again->max_tokens != fields->max_tokens) std::abort();
  if (fields->stream && !again->include_usage) std::abort();
  return 0;
}

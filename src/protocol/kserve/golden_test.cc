// Bodies that are refused, with what a recorded Triton says.
#include <fmt/format.h>

#include "base/golden_for_test.h"
#include "protocol/errors.h"
#include "protocol/kserve/infer_request.h"

namespace nereid::kserve {
namespace {

TEST(InferGolden, RefusedBodiesGetTheRecordedStatusAndText) {
  RunGolden(NEREID_GOLDEN_DIR "/kserve/infer_refused.case", [](const GoldenCase& one) -> std::string {
    std::optional<std::string> header_length;
    if (!one.notes.empty()) header_length = one.notes[0];
    auto parsed = ParseInferRequest("simple", Bytes::Own(one.input[0]), header_length, {});
    if (parsed) return "accepted";
    return fmt::format("{} {}", protocol::WireErrorOf(parsed.error()).kserve_http, parsed.error().message);
  });
}

}  // namespace
}  // namespace nereid::kserve

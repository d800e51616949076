// tests/golden/kserve: bodies that are refused, with what a recorded Triton says.
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "protocol/errors.h"
#include "protocol/kserve/infer_request.h"

namespace nereid::kserve {
namespace {

TEST(InferGolden, RefusedBodiesGetTheRecordedStatusAndText) {
  std::ifstream file(NEREID_GOLDEN_DIR "/kserve/infer_refused.case");
  ASSERT_TRUE(file);
  std::string name, body;
  std::optional<std::string> header_length;
  int count = 0;
  for (std::string line; std::getline(file, line);) {
    std::string rest = line.size() > 2 ? line.substr(2) : "";
    if (line.starts_with('#')) {
      name = rest;
      header_length.reset();
    }
    if (line.starts_with('~')) header_length = rest;
    if (line.starts_with('>')) body = rest;
    if (!line.starts_with('<')) continue;
    SCOPED_TRACE(name);
    ++count;
    auto parsed = ParseInferRequest("simple", Bytes::Own(body), header_length, {});
    ASSERT_FALSE(parsed);
    EXPECT_EQ(fmt::format("{} {}", protocol::WireErrorOf(parsed.error()).kserve_http, parsed.error().message), rest);
  }
  EXPECT_GT(count, 20);
}

}  // namespace
}  // namespace nereid::kserve

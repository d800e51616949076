#include "http/v2/header_forward.h"

#include <gtest/gtest.h>

namespace nereid::http {
namespace {

TEST(HeaderForward, LeavesNamesAloneThatTheRegexLibraryCannotTake) {
  std::string name(1'000'000, 'x');
  net::HeaderField headers[] = {{name, "7"}, {"x", "8"}};
  Parameters parameters;
  EXPECT_TRUE(HeaderForward("x.*").Apply(headers, parameters));
  EXPECT_EQ(parameters.size(), 1u);
}

}  // namespace
}  // namespace nereid::http

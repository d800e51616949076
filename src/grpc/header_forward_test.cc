#include "grpc/header_forward.h"

#include <gtest/gtest.h>

namespace nereid::grpc_front {
namespace {

TEST(HeaderForward, ForwardsWhatMatchesAndIsNotTheProtocols) {
  net::HeaderField fields[] = {{":path", "/"}, {"te", "trailers"}, {"x-trace", "7"}, {"other", "8"}};
  Parameters parameters;
  HeaderForward("x-.*|te|path").Apply(fields, parameters);
  ASSERT_EQ(parameters.size(), 1u);
  EXPECT_EQ(parameters[0].first, "x-trace");
}

TEST(HeaderForward, LeavesNamesAloneThatTheRegexLibraryCannotTake) {
  std::string name(1'000'000, 'x');
  net::HeaderField fields[] = {{name, "7"}, {"x", "8"}};
  Parameters parameters;
  HeaderForward("x.*").Apply(fields, parameters);
  EXPECT_EQ(parameters.size(), 1u);
}

}  // namespace
}  // namespace nereid::grpc_front

#include "protocol/errors.h"

#include <gtest/gtest.h>

namespace nereid::protocol {
namespace {

WireError RowOf(Code code, std::string_view reason = {}) {
  return WireErrorOf(Status{code, "", std::string(reason), ""});
}

TEST(WireErrors, TritonsCodesKeepTritonsNumbers) {
  EXPECT_EQ(RowOf(Code::kInternal).kserve_http, 500);
  EXPECT_EQ(RowOf(Code::kNotFound).kserve_http, 404);
  EXPECT_EQ(RowOf(Code::kUnavailable).kserve_http, 503);
  EXPECT_EQ(RowOf(Code::kUnsupported).kserve_http, 501);
  EXPECT_EQ(RowOf(Code::kInvalidArgument).kserve_http, 400);
  EXPECT_EQ(RowOf(Code::kConflict).kserve_http, 400);
  EXPECT_EQ(RowOf(Code::kCancelled).kserve_http, 400);
}

TEST(WireErrors, MalformedJsonHasItsOwnRow) {
  WireError row = RowOf(Code::kInvalidArgument, "bad_json");
  EXPECT_EQ(row.kserve_http, 500);
  EXPECT_EQ(row.openai_http, 400);
  EXPECT_EQ(row.grpc, 3);
}

TEST(WireErrors, EveryCodeHasAStatusOfEveryApi) {
  for (int code = 0; code < kCodeCount; ++code) {
    WireError row = RowOf(static_cast<Code>(code));
    EXPECT_GE(row.kserve_http, 400);
    EXPECT_GE(row.openai_http, 400);
    EXPECT_GT(row.grpc, 0);
    EXPECT_FALSE(row.openai_type.empty());
  }
}

TEST(WireErrors, TheKServeBodyEscapesTheMessage) {
  EXPECT_EQ(KServeErrorBody("a \"b\"\n"), R"({"error":"a \"b\"\n"})");
}

}  // namespace
}  // namespace nereid::protocol

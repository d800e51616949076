#include "net/http_head.h"

#include <gtest/gtest.h>

namespace nereid::net {
namespace {

Result<RequestHead> Parse(const std::string& head) {
  static std::string kept;  // the head's views point into it
  kept = head;
  RequestHead out;
  TRY_DO(ParseRequestHead(kept, HeadLimits{}, out));
  return out;
}

TEST(RequestHead, ReadsMethodPathQueryAndFields) {
  auto head = Parse("POST /v2/models/a/infer?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nX-A:  b \r\n\r\n");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, Method::kPost);
  EXPECT_EQ(head->path, "/v2/models/a/infer");
  EXPECT_EQ(head->query, "x=1");
  EXPECT_EQ(head->content_length, 12u);
  EXPECT_EQ(FindHeader(head->headers, "x-a"), "b");
  EXPECT_TRUE(head->keep_alive);
}

TEST(RequestHead, TooManyFieldsAreTooLarge) {
  std::string head = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 200; ++i) head += "A: b\r\n";
  EXPECT_EQ(Parse(head + "\r\n").error().code, Code::kTooLarge);
}

TEST(FindHeadEnd, FindsAnEndThatArrivesInPieces) {
  std::string head = "GET / HTTP/1.1\r\nHost: h\r\n\r\nbody";
  std::size_t scanned = 0, found = 0;
  for (std::size_t i = 1; i <= head.size() && found == 0; ++i) found = FindHeadEnd(std::string_view(head).substr(0, i), scanned);
  EXPECT_EQ(found, head.size() - 4);
}

TEST(ResponseHead, NeedsAStatusOfThreeDigits) {
  UpstreamHead out;
  EXPECT_TRUE(ParseResponseHead("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HeadLimits{}, out));
  EXPECT_EQ(out.status, 200);
  EXPECT_TRUE(ParseResponseHead("HTTP/1.1 204\r\n\r\n", HeadLimits{}, out));
  for (const char* head : {"<html>\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n"}) {
    EXPECT_FALSE(ParseResponseHead(head, HeadLimits{}, out)) << head;
  }
}

}  // namespace
}  // namespace nereid::net

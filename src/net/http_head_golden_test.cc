// Request heads, and what is read of them.
#include <fmt/format.h>

#include "base/golden_for_test.h"
#include "net/http_head.h"

namespace nereid::net {
namespace {

std::string Unescape(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\') {
      out += line[i];
      continue;
    }
    switch (line[++i]) {
      case 'r': out += '\r'; break;
      case 'n': out += '\n'; break;
      case 'v': out += '\v'; break;
      case '0': out += '\0'; break;
      case 'x': out += static_cast<char>(std::stoi(std::string(line.substr(i + 1, 2)), nullptr, 16)), i += 2; break;
      default: ADD_FAILURE() << "no such escape: " << line;
    }
  }
  return out;
}

TEST(HttpHeadGolden, RequestHeads) {
  RunGolden(NEREID_GOLDEN_DIR "/http/head.case", [](const GoldenCase& one) -> std::string {
    std::string text;
    for (const std::string& line : one.input) text += Unescape(line) + "\r\n";
    text += "\r\n";
    RequestHead head;
    auto parsed = ParseRequestHead(text, HeadLimits{}, head);
    if (!parsed) return "refused: " + parsed.error().message;
    std::string out = fmt::format("{} path={}", head.method_text, head.path);
    if (!head.query.empty()) out += fmt::format(" query={}", head.query);
    if (head.content_length) out += fmt::format(" length={}", *head.content_length);
    if (head.chunked) out += " chunked";
    if (head.expect_continue) out += " expect-continue";
    return out + (head.keep_alive ? " keeps" : " closes");
  });
}

}  // namespace
}  // namespace nereid::net

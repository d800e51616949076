#include "net/http_head.h"

#include <algorithm>
#include <cstring>

namespace nereid::net {
namespace {

// RFC 9110 token characters.
constexpr std::array<bool, 256> kToken = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = table[static_cast<std::size_t>(c - 32)] = true;
  for (char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

// What a field value may hold: visible characters, spaces, tabs, and bytes past ASCII.
constexpr std::array<bool, 256> kValue = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0x20; c < 256; ++c) table[c] = c != 0x7f;
  table['\t'] = true;
  return table;
}();

bool All(std::string_view text, const std::array<bool, 256>& table) {
  for (char c : text) {
    if (!table[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::unexpected<Status> Bad(std::string_view why) {
  return Error(Code::kInvalidArgument, std::string(why), "bad_head");
}

Result<std::uint64_t> ParseLength(std::string_view text) {
  if (text.empty() || text.size() > 18) return Bad("Content-Length is not a number of bytes");
  std::uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return Bad("Content-Length is not a number of bytes");
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

// Calls `next(token)` for each comma-separated item of a Connection field.
template <class F>
void EachToken(std::string_view list, F next) {
  while (!list.empty()) {
    std::size_t comma = list.find(',');
    next(Trim(list.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// What requests and responses share of their fields.
struct Framing {
  std::optional<std::uint64_t> content_length;
  bool chunked = false, close = false, keep = false;
  int hosts = 0;
  bool expect_continue = false;
};

Result<Nothing> ParseFields(std::string_view text, const HeadLimits& limits, std::vector<HeaderField>& headers, Framing& framing) {
  headers.clear();
  bool coded = false;
  while (text != "\r\n") {
    std::size_t end = text.find('\r');
    if (end == std::string_view::npos || end + 1 >= text.size() || text[end + 1] != '\n')
      return Bad("a header line does not end with CR LF");
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    if (line.empty()) return Bad("an empty line within the head");
    if (line.front() == ' ' || line.front() == '\t') return Bad("folded header lines are not accepted");
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return Bad("a header line without a name and a colon");
    std::string_view name = line.substr(0, colon), value = Trim(line.substr(colon + 1));
    if (!All(name, kToken)) return Bad("a header name with characters that are not allowed");
    if (!All(value, kValue)) return Bad("a header value with control characters");
    if (headers.size() >= limits.count_max) return Error(Code::kTooLarge, "too many header fields", "too_many_headers");
    headers.push_back({name, value});
    switch (name.size()) {
      case 4:
        if (EqualsIgnoreCase(name, "host")) ++framing.hosts;
        break;
      case 6:
        if (EqualsIgnoreCase(name, "expect")) framing.expect_continue = EqualsIgnoreCase(value, "100-continue");
        break;
      case 10:
        if (EqualsIgnoreCase(name, "connection")) {
          EachToken(value, [&](std::string_view token) {
            if (EqualsIgnoreCase(token, "close")) framing.close = true;
            if (EqualsIgnoreCase(token, "keep-alive")) framing.keep = true;
          });
        }
        break;
      case 14:
        if (EqualsIgnoreCase(name, "content-length")) {
          if (framing.content_length) return Bad("Content-Length is given twice");
          TRY(framing.content_length, ParseLength(value));
        }
        break;
      case 17:
        if (EqualsIgnoreCase(name, "transfer-encoding")) {
          if (coded || !EqualsIgnoreCase(value, "chunked")) return Bad("Transfer-Encoding may only be 'chunked', once");
          coded = framing.chunked = true;
        }
        break;
      default: break;
    }
  }
  if (framing.chunked && framing.content_length) return Bad("Content-Length and Transfer-Encoding exclude each other");
  return Nothing{};
}

Method MethodOf(std::string_view text) {
  struct Row {
    std::string_view text;
    Method method;
  };
  static constexpr Row kRows[] = {{"GET", Method::kGet},    {"POST", Method::kPost},     {"HEAD", Method::kHead},
                                  {"PUT", Method::kPut},    {"DELETE", Method::kDelete}, {"OPTIONS", Method::kOptions},
                                  {"PATCH", Method::kPatch}};
  for (const Row& row : kRows) {
    if (row.text == text) return row.method;
  }
  return Method::kOther;
}

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

std::optional<std::string_view> FindHeader(std::span<const HeaderField> headers, std::string_view name) {
  for (const HeaderField& field : headers) {
    if (EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::size_t FindHeadEnd(std::string_view buffer, std::size_t& scanned) {
  std::size_t from = scanned > 3 ? scanned - 3 : 0;
  const void* end = ::memmem(buffer.data() + from, buffer.size() - from, "\r\n\r\n", 4);
  scanned = buffer.size();
  return end ? static_cast<std::size_t>(static_cast<const char*>(end) - buffer.data()) + 4 : 0;
}

Result<Nothing> ParseRequestHead(std::string_view head, const HeadLimits& limits, RequestHead& out) {
  std::size_t end = head.find('\r');
  if (end == std::string_view::npos || head[end + 1] != '\n') return Bad("the request line does not end with CR LF");
  std::string_view line = head.substr(0, end);
  std::size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Bad("the request line is not METHOD TARGET VERSION");
  out.method_text = line.substr(0, first);
  out.target = line.substr(first + 1, last - first - 1);
  std::string_view version = line.substr(last + 1);
  if (out.method_text.empty() || !All(out.method_text, kToken)) return Bad("the method is not a token");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return Bad("only HTTP/1.1 and HTTP/1.0 are spoken here");
  out.http11 = version.back() == '1';
  out.method = MethodOf(out.method_text);
  for (char c : out.target) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f)
      return Bad("the target has characters that are not allowed");
  }
  std::string_view target = out.target;
  if (target.starts_with("http://") || target.starts_with("https://")) {  // absolute form: the authority is not looked at
    std::size_t slash = target.find('/', target.find("//") + 2);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  } else if (!target.starts_with('/') && target != "*") {
    return Bad("the target is no path");
  }
  std::size_t question = target.find('?');
  out.path = target.substr(0, question);
  out.query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);

  Framing framing;
  TRY_DO(ParseFields(head.substr(end + 2), limits, out.headers, framing));
  if (framing.chunked && !out.http11) return Bad("Transfer-Encoding needs HTTP/1.1");
  if (out.http11 ? framing.hosts != 1 : framing.hosts > 1) return Bad("exactly one Host field is needed");
  out.chunked = framing.chunked;
  out.content_length = framing.content_length;
  out.expect_continue = framing.expect_continue && out.http11;
  out.keep_alive = !framing.close && (out.http11 || framing.keep);
  return Nothing{};
}

Result<Nothing> ParseResponseHead(std::string_view head, const HeadLimits& limits, UpstreamHead& out) {
  std::size_t end = head.find('\r');
  if (end == std::string_view::npos || head[end + 1] != '\n') return Bad("the status line does not end with CR LF");
  std::string_view line = head.substr(0, end);
  if (line.size() < 12 || !(line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 "))) return Bad("the status line is not HTTP/1");
  out.http11 = line[7] == '1';
  out.status = 0;
  for (char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return Bad("the status is not a number");
    out.status = out.status * 10 + (c - '0');
  }
  if (out.status < 100 || (line.size() > 12 && line[12] != ' ')) return Bad("the status is not a number of three digits");
  Framing framing;
  TRY_DO(ParseFields(head.substr(end + 2), limits, out.headers, framing));
  out.chunked = framing.chunked;
  out.content_length = framing.content_length;
  out.keep_alive = !framing.close && (out.http11 || framing.keep);
  return Nothing{};
}

}  // namespace nereid::net

// Heads and chunked bodies as a hostile peer may send them: what is accepted lies inside the input, and any split reads the same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "net/body.h"
#include "net/http_head.h"

namespace {

using namespace nereid;

void CheckInside(std::string_view piece, std::string_view whole) {
  if (!piece.empty() && (piece.data() < whole.data() || piece.data() + piece.size() > whole.data() + whole.size())) std::abort();
}

// The decoded body, or nothing when the framing is broken or not at its end.
std::optional<std::string> Decode(std::string_view input, std::size_t step_bytes) {
  net::ChunkDecoder decoder;
  std::string body;
  for (std::size_t at = 0; at < input.size(); at += step_bytes) {
    std::string_view rest = input.substr(at, step_bytes);
    while (!rest.empty()) {
      auto step = decoder.Next(rest);
      if (!step) return std::nullopt;
      CheckInside(step->data, rest);
      body += step->data;
      rest.remove_prefix(step->consumed);
      if (step->done) return body;
    }
  }
  return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  std::size_t scanned = 0;
  std::size_t end = net::FindHeadEnd(text, scanned);
  if (end > 0) {
    std::string head = text.substr(0, end);
    net::RequestHead request;
    if (net::ParseRequestHead(head, {}, request)) {
      CheckInside(request.path, head);
      CheckInside(request.query, head);
      for (const auto& field : request.headers) {
        CheckInside(field.name, head);
        CheckInside(field.value, head);
      }
      if (request.chunked && request.content_length) std::abort();
    }
    net::UpstreamHead answer;
    if (net::ParseResponseHead(head, {}, answer) && answer.chunked && answer.content_length) std::abort();
    text.erase(0, end);
  }
  if (text.size() < 4096 && Decode(text, text.size() + 1) != Decode(text, 1)) std::abort();
  return 0;
}

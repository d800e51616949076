// Event streams in any split: the events are the same, and together with the rest they are the input.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "codec/sse.h"

namespace {

std::vector<std::string> Split(std::string_view text, std::size_t step) {
  nereid::codec::SseSplitter splitter;
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size(); at += step) {
    if (!splitter.Push(text.substr(at, step))) return out;
    while (auto event = splitter.Next()) {
      (void)nereid::codec::SseData(*event);
      out.emplace_back(*event);
    }
  }
  out.emplace_back(splitter.rest());
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 2048) return 0;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto whole = Split(text, size + 1), bytes = Split(text, 1);
  if (whole != bytes) std::abort();
  std::string joined;
  for (const auto& event : whole) joined += event;
  if (joined != text) std::abort();
  return 0;
}

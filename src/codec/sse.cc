#include "codec/sse.h"

#include <algorithm>

namespace nereid::codec {

Result<Nothing> SseSplitter::Push(std::string_view bytes) {
  if (taken_ > 0) {
    buffer_.erase(0, taken_);
    scanned_ -= std::min(scanned_, taken_);
    taken_ = 0;
  }
  if (buffer_.size() + bytes.size() > kEventBytesMax)
    return Error(Code::kBadGateway, "an event of the stream is larger than what is accepted", "too_large");
  buffer_ += bytes;
  return Nothing{};
}

std::optional<std::string_view> SseSplitter::Next() {
  // An event ends with an empty line: LF LF, or LF CR LF.
  for (std::size_t at = std::max(taken_, scanned_ > 2 ? scanned_ - 2 : 0); (at = buffer_.find('\n', at)) != std::string::npos; ++at) {
    std::size_t next = at + 1;
    if (next < buffer_.size() && buffer_[next] == '\r') ++next;
    if (next < buffer_.size() && buffer_[next] == '\n') {
      std::string_view event = std::string_view(buffer_).substr(taken_, next + 1 - taken_);
      taken_ = scanned_ = next + 1;
      return event;
    }
  }
  scanned_ = buffer_.size();
  return std::nullopt;
}

std::string_view SseData(std::string_view event) {
  while (!event.empty()) {
    std::size_t end = event.find('\n');
    std::string_view line = event.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("data:")) {
      line.remove_prefix(5);
      if (line.starts_with(' ')) line.remove_prefix(1);
      return line;
    }
    if (end == std::string_view::npos) break;
    event.remove_prefix(end + 1);
  }
  return {};
}

}  // namespace nereid::codec

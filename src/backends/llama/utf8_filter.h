// Turns token pieces into whole, well-formed UTF-8 characters: a token may end in the middle of one.
#pragma once

#include <string>
#include <string_view>

namespace nereid::llama {

// Ill-formed bytes come out as U+FFFD, so that the text always fits in JSON.
class Utf8Filter {
 public:
  // The characters that are complete now; keeps at most 3 bytes back.
  std::string Append(std::string_view bytes);
  // What was kept back, as U+FFFD, when nothing follows any more.
  std::string Finish();

 private:
  std::string held_;
};

}  // namespace nereid::llama

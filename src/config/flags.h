// The command line of `nereid serve` and `tritonserver`: Triton's flags and a few of our own, over an optional configuration file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

namespace nereid {

struct EarlyExit {
  std::string text;  // to stdout
  int code = 0;
};

struct ServeOptions {
  Config config;                        // checked by CheckConfig
  bool print_config = false;            // print it and leave
  std::vector<std::string> warnings;    // one line each, for flags that are accepted and do nothing yet
  std::optional<EarlyExit> early_exit;  // --help; nothing else in here counts then
};

// `arguments` are those after the program's name and the word `serve`. Reads the file of --config; flags override it by the same
// paths. An error's message is all of what to print on stderr before leaving with exit code 1: as tritonserver it is the usage text
// and, as the last line, what is wrong.
//
// Called as tritonserver, the listeners' addresses are 0.0.0.0 and v2 is open, as Triton; else they are 127.0.0.1.
Result<ServeOptions> ParseFlags(const std::vector<std::string>& arguments, bool called_as_triton);
// argv[0] is skipped.
Result<ServeOptions> ParseFlags(int argc, const char* const* argv, bool called_as_triton);

}  // namespace nereid

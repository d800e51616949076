// The log. One line an event on stderr (or --log-file) through a bounded queue; lines that do not fit are counted, not waited for.
// Any thread; never blocks. Secrets and prompts do not belong in it.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace nereid::log {

enum class Level : unsigned char { kVerbose, kInfo, kWarning, kError };

struct Options {
  bool info = true, warning = true, error = true;
  int verbose = 0;       // Triton's --log-verbose
  std::string file;      // empty: stderr
  bool iso8601 = false;  // Triton's --log-format=ISO8601; else "I1123 06:44:00.744639 984 file.cc:47] ..."
};

// Before the first thread starts; again to change the settings.
void Configure(const Options& options);
// Writes out what is queued. At exit.
void Flush();
bool Enabled(Level level, int verbosity = 1);

void Write(Level level, const char* file, int line, std::string_view text);

}  // namespace nereid::log

#define NEREID_LOG(level, ...)                                                                                    \
  do {                                                                                                            \
    if (::nereid::log::Enabled(level)) ::nereid::log::Write(level, __FILE__, __LINE__, fmt::format(__VA_ARGS__)); \
  } while (false)
#define LOG_INFO(...) NEREID_LOG(::nereid::log::Level::kInfo, __VA_ARGS__)
#define LOG_WARNING(...) NEREID_LOG(::nereid::log::Level::kWarning, __VA_ARGS__)
#define LOG_ERROR(...) NEREID_LOG(::nereid::log::Level::kError, __VA_ARGS__)
#define LOG_VERBOSE(verbosity, ...)                                                                       \
  do {                                                                                                    \
    if (::nereid::log::Enabled(::nereid::log::Level::kVerbose, verbosity))                                \
      ::nereid::log::Write(::nereid::log::Level::kVerbose, __FILE__, __LINE__, fmt::format(__VA_ARGS__)); \
  } while (false)

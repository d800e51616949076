#include "base/log.h"

#include <unistd.h>

#include <chrono>
#include <cstring>
#include <memory>

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace nereid::log {
namespace {

constexpr std::size_t kQueueLines = 8192;

struct State {
  std::atomic<bool> info{true}, warning{true}, error{true}, iso8601{false};
  std::atomic<int> verbose{0};
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<spdlog::details::thread_pool> pool;  // destroyed after the logger's last line
};

State& TheState() {
  static State& state = *new State;  // log lines may come from static destructors
  return state;
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else out += c;
  }
  return out;
}

}  // namespace

void Configure(const Options& options) {
  State& state = TheState();
  state.info = options.info;
  state.warning = options.warning;
  state.error = options.error;
  state.verbose = options.verbose;
  state.iso8601 = options.iso8601;
  if (state.logger && options.file.empty()) return;
  spdlog::sink_ptr sink;
  if (options.file.empty()) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  else sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
  sink->set_pattern("%v");
  state.pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  auto logger =
      std::make_shared<spdlog::async_logger>("nereid", std::move(sink), state.pool, spdlog::async_overflow_policy::overrun_oldest);
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  state.logger = std::move(logger);
}

void Flush() {
  State& state = TheState();
  state.logger.reset();
  state.pool.reset();  // joins the writer after the last line
}

bool Enabled(Level level, int verbosity) {
  State& state = TheState();
  switch (level) {
    case Level::kVerbose: return state.verbose >= verbosity;
    case Level::kInfo: return state.info;
    case Level::kWarning: return state.warning;
    case Level::kError: return state.error;
  }
  return true;
}

void Write(Level level, const char* file, int line, std::string_view text) {
  State& state = TheState();
  auto logger = state.logger;
  if (!logger) return;
  static constexpr char kLetters[] = {'V', 'I', 'W', 'E'};
  auto now = std::chrono::system_clock::now();
  std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1'000'000;
  std::tm tm{};
  ::gmtime_r(&seconds, &tm);
  const char* slash = std::strrchr(file, '/');
  const char* name = slash ? slash + 1 : file;
  char letter = kLetters[static_cast<int>(level)];
  std::string stamp = state.iso8601 ? fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z {}", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                                                  tm.tm_hour, tm.tm_min, tm.tm_sec, letter)
                                    : fmt::format("{}{:02}{:02} {:02}:{:02}:{:02}.{:06}", letter, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                                                  tm.tm_min, tm.tm_sec, micros);
  logger->info("{} {} {}:{}] \"{}\"", stamp, ::getpid(), name, line, Escaped(text));
}

}  // namespace nereid::log

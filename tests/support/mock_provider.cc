// A provider in the OpenAI dialect. A request says by its `user` field how it is to be answered:
//   fault:reset | stall | cut | html | 500 | 429              before or within a unary answer, or before a stream
//   fault:cut-after-N | reset-after-N | stall-after-N         within a stream, after N events
//   fault:slow                                                a stream without an end, until the client leaves
//   fault:slow-N                                              N chunks, 100 ms apart, and a proper end
// GET /log tells what was asked and served.
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "codec/json_text.h"
#include "net/http_server.h"
#include "net/spawn.h"
#include "protocol/openai/locate.h"

namespace nereid {
namespace {

constexpr int kPromptTokens = 11, kCompletionTokens = 7;

struct Log {
  std::mutex mutex;
  std::uint64_t requests = 0, cancelled = 0, prompt_tokens = 0, completion_tokens = 0;
  std::map<std::string, std::uint64_t> models;
  std::set<std::string> authorizations;
  std::string last_body;

  std::string Render() {
    std::lock_guard lock(mutex);
    std::string out = fmt::format(R"({{"requests":{},"cancelled":{},"prompt_tokens":{},"completion_tokens":{},"models":{{)", requests,
                                  cancelled, prompt_tokens, completion_tokens);
    bool comma = false;
    for (const auto& [model, count] : models) {
      if (std::exchange(comma, true)) out += ',';
      json::AppendString(out, model);
      out += fmt::format(":{}", count);
    }
    out += "},\"authorizations\":[";
    comma = false;
    for (const auto& each : authorizations) {
      if (std::exchange(comma, true)) out += ',';
      json::AppendString(out, each);
    }
    out += "],\"last_body\":";
    json::AppendString(out, last_body);
    return out + "}";
  }
};

struct Settings {
  int answer_bytes = 600, chunks = 10, gap_ms = 0;
  bool quiet = false;
};

std::string Model(const std::string& name) {
  std::string out;
  json::AppendString(out, name + "-2026-01-01");  // a provider's own name for it, which clients should not see
  return out;
}

std::string Chunk(const std::string& model, std::string_view content, std::string_view finish, std::string_view usage) {
  return fmt::format(
      "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":{},\"choices\":[{{\"index\":0,\"delta\":{{{}}},\"finish_reason\":{}}}]{}}}\n\n",
      model, content, finish, usage);
}

std::string UsageText() {
  return fmt::format(R"("usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})", kPromptTokens, kCompletionTokens,
                     kPromptTokens + kCompletionTokens);
}

net::Task<Nothing> Pause(int ms) {
  if (ms > 0) CO_TRY_DO(co_await net::SleepUntil(std::chrono::steady_clock::now() + Millis(ms)));
  co_return Nothing{};
}

class Mock {
 public:
  Mock(const Settings& settings, Log& log)
      : settings_(settings), log_(log), filler_(static_cast<std::size_t>(settings.answer_bytes), 'x') {}

  net::Task<Nothing> Serve(net::Exchange& exchange) {
    if (exchange.path() == "/log") co_return co_await exchange.Respond(net::ResponseHead{200, "application/json", {}}, log_.Render());
    CO_TRY(net::Body body, co_await exchange.ReadBody(64 << 20));
    auto fields = openai::Locate(body.view());
    if (!fields)
      co_return co_await exchange.Respond(net::ResponseHead{400, "application/json", {}},
                                          R"({"error":{"message":"bad body","type":"invalid_request_error","param":null,"code":null}})");
    if (!settings_.quiet) {
      std::lock_guard lock(log_.mutex);
      ++log_.requests;
      ++log_.models[fields->model];
      log_.authorizations.insert(std::string(exchange.Header("authorization").value_or("")));
      log_.last_body = std::string(body.view());
    }
    std::string fault = fields->user.starts_with("fault:") ? fields->user.substr(6) : "";
    Result<Nothing> done = fields->stream ? co_await Stream(exchange, *fields, fault) : co_await Whole(exchange, *fields, fault);
    if (exchange.cancellation().cancelled()) {
      std::lock_guard lock(log_.mutex);
      ++log_.cancelled;
    }
    co_return done;
  }

 private:
  // Faults that come before any answer; true when the request is done with.
  net::Task<bool> Early(net::Exchange& exchange, const std::string& fault) {
    if (fault == "reset") {
      exchange.Abort();
      co_return true;
    }
    if (fault == "stall") {
      co_await Pause(600'000);
      co_return true;
    }
    if (fault == "html") {
      co_await exchange.Respond(net::ResponseHead{200, "text/html", {}}, "<html><body>down for maintenance</body></html>");
      co_return true;
    }
    if (fault == "500" || fault == "429") {
      net::ResponseHead head{fault == "500" ? 500 : 429, "application/json", {}};
      if (fault == "429") head.headers.Add("Retry-After", "7");
      co_await exchange.Respond(std::move(head),
                                R"({"error":{"message":"the mock was told to fail","type":"server_error","param":null,"code":null}})");
      co_return true;
    }
    co_return false;
  }
  void Count(const LocatedFields&) {
    if (settings_.quiet) return;
    std::lock_guard lock(log_.mutex);
    log_.prompt_tokens += kPromptTokens;
    log_.completion_tokens += kCompletionTokens;
  }

  net::Task<Nothing> Whole(net::Exchange& exchange, const LocatedFields& fields, const std::string& fault) {
    CO_TRY(bool done, co_await Early(exchange, fault));
    if (done) co_return Nothing{};
    std::string answer = fmt::format(
        R"({{"id":"chatcmpl-mock","object":"chat.completion","created":1700000000,"model":{},"choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],{}}})",
        Model(fields.model), filler_, UsageText());
    if (fault == "cut") {
      exchange.Start(net::ResponseHead{200, "application/json", {}}, answer.size());
      CO_TRY_DO(co_await exchange.Write(std::string_view(answer).substr(0, answer.size() / 2)));
      exchange.Abort();
      co_return Nothing{};
    }
    CO_TRY_DO(co_await Pause(settings_.gap_ms));
    Count(fields);
    co_return co_await exchange.Respond(net::ResponseHead{200, "application/json", {}}, answer);
  }

  net::Task<Nothing> Stream(net::Exchange& exchange, const LocatedFields& fields, const std::string& fault) {
    CO_TRY(bool done, co_await Early(exchange, fault));
    if (done) co_return Nothing{};
    std::string model = Model(fields.model);
    int chunks = settings_.chunks, gap_ms = settings_.gap_ms;
    bool endless = fault == "slow";
    if (endless) gap_ms = 20;
    if (fault.starts_with("slow-")) {
      chunks = std::atoi(fault.c_str() + 5);
      gap_ms = 100;
    }
    std::size_t after = fault.find("-after-");
    int break_at = after == std::string::npos ? -1 : std::atoi(fault.c_str() + after + 7);
    std::string usage = fields.include_usage ? ",\"usage\":null" : "";
    exchange.Start(net::ResponseHead{200, "text/event-stream", {}});
    CO_TRY_DO(co_await exchange.Write(Chunk(model, R"("role":"assistant","content":"")", "null", usage)));
    for (int i = 0; endless || i < chunks; ++i) {
      if (i + 1 == break_at) {
        if (fault.starts_with("stall")) CO_TRY_DO(co_await Pause(600'000));
        exchange.Abort();
        co_return Nothing{};
      }
      CO_TRY_DO(co_await Pause(gap_ms));
      CO_TRY_DO(co_await exchange.Write(Chunk(model, fmt::format(R"("content":"word{} ")", i), "null", usage)));
    }
    std::string end = Chunk(model, "", "\"stop\"", usage);
    if (fields.include_usage)
      end += fmt::format(
          "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":{},\"choices\":[],{}}}\n\n",
          model, UsageText());
    Count(fields);
    CO_TRY_DO(co_await exchange.Write(end + "data: [DONE]\n\n"));
    co_return co_await exchange.Finish();
  }

  const Settings& settings_;
  Log& log_;
  const std::string filler_;
};

int Main(int argc, char** argv) {
  Settings settings;
  int port = 0, threads = 1;
  CLI::App app("An OpenAI-shaped provider for tests and benches.");
  app.add_option("--port", port, "0: any free one");
  app.add_option("--threads", threads, "io threads");
  app.add_option("--answer-bytes", settings.answer_bytes, "of the content of a unary answer");
  app.add_option("--chunks", settings.chunks, "of a stream");
  app.add_option("--gap-ms", settings.gap_ms, "before a unary answer and between chunks");
  app.add_flag("--quiet", settings.quiet, "keep no log: for benches");
  CLI11_PARSE(app, argc, argv);
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  net::IoThreads io(threads);
  Log log;
  Mock mock(settings, log);
  net::HttpServerOptions options;
  options.listen.port = port;
  net::HttpServer server(io, options, [&mock](net::Exchange& exchange) { return mock.Serve(exchange); });
  io.Start();
  auto started = server.Start();
  if (!started) {
    fmt::print(stderr, "mock_provider: {}\n", started.error().message);
    return 1;
  }
  fmt::print("listening on 127.0.0.1:{}\n", *started);
  std::fflush(stdout);
  int number = 0;
  ::sigwait(&signals, &number);
  server.Drain(std::chrono::steady_clock::now() + Millis(200));
  io.Stop();
  io.Join();
  return 0;
}

}  // namespace
}  // namespace nereid

int main(int argc, char** argv) {
  return nereid::Main(argc, argv);
}

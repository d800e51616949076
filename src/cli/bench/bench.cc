#include "cli/bench/bench.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/bench/load.h"
#include "net/http_client.h"

namespace nereid::cli {
namespace {

struct Options {
  std::string url, method, body, body_file, except;
  std::vector<std::string> headers;
  LoadPlan plan;
  int pid = 0;
  bool json = false;
};

Result<std::string> BuildRequest(const Options& options, const net::BaseUrl& url, std::string_view target) {
  std::string body = options.body;
  if (!options.body_file.empty()) {
    std::ifstream file(options.body_file, std::ios::binary);
    std::stringstream content;
    content << file.rdbuf();
    if (!file) return Error(Code::kInvalidArgument, fmt::format("cannot read {}", options.body_file));
    body = content.str();
  }
  std::string method = !options.method.empty() ? options.method : body.empty() ? "GET" : "POST";
  std::string request = fmt::format("{} {} HTTP/1.1\r\nHost: {}:{}\r\n", method, target, url.host, url.port);
  for (const std::string& header : options.headers) request += header + "\r\n";
  if (!body.empty() || method == "POST") request += fmt::format("Content-Length: {}\r\n", body.size());
  return request + "\r\n" + body;
}

void PrintText(Record& record, double seconds, double cpu, int pid) {
  fmt::print("requests     {}  ({:.0f}/s)\n", record.requests, static_cast<double>(record.requests) / seconds);
  auto row = [](std::string_view name, Samples& samples) {
    if (samples.count() == 0) return;
    fmt::print("{:<12} p50 {:.3f} ms  p90 {:.3f} ms  p99 {:.3f} ms  max {:.3f} ms\n", name, samples.Percentile(50) / 1e6,
               samples.Percentile(90) / 1e6, samples.Percentile(99) / 1e6, samples.Percentile(100) / 1e6);
  };
  row("latency", record.latency);
  row("first byte", record.first_byte);
  row("gap", record.gap);
  for (const auto& [kind, count] : record.errors) fmt::print("error        {}: {}\n", kind, count);
  if (pid > 0 && record.requests > 0)
    fmt::print("cpu          {:.1f} us a request, {:.2f} cores\n", cpu * 1e6 / static_cast<double>(record.requests), cpu / seconds);
}

void PrintJson(Record& record, double seconds, double cpu) {
  auto ms = [](Samples& samples, double p) { return samples.Percentile(p) / 1e6; };
  std::string errors;
  for (const auto& [kind, count] : record.errors) errors += fmt::format("{}\"{}\":{}", errors.empty() ? "" : ",", kind, count);
  double requests = static_cast<double>(record.requests);
  fmt::print(
      R"({{"requests":{},"rps":{:.1f},"p50_ms":{:.4f},"p90_ms":{:.4f},"p99_ms":{:.4f},"max_ms":{:.4f},"first_byte_p50_ms":{:.4f},"first_byte_p99_ms":{:.4f},"gap_p50_ms":{:.4f},"gap_p99_ms":{:.4f},"cpu_us":{:.3f},"errors":{{{}}}}})"
      "\n",
      record.requests, requests / seconds, ms(record.latency, 50), ms(record.latency, 90), ms(record.latency, 99), ms(record.latency, 100),
      ms(record.first_byte, 50), ms(record.first_byte, 99), ms(record.gap, 50), ms(record.gap, 99),
      requests > 0 ? cpu * 1e6 / requests : 0.0, errors);
}

}  // namespace

int BenchMain(int argc, char** argv) {
  Options options;
  CLI::App app("Loads an HTTP server over keep-alive connections and measures it: closed loop, or open loop with --rate.", "nereid bench");
  app.add_option("url", options.url, "http://ADDRESS:PORT/PATH")->required();
  app.add_option("-c,--connections", options.plan.connections, "connections")->check(CLI::Range(1, 16384))->capture_default_str();
  app.add_option("-d,--duration", options.plan.duration_s, "seconds to measure")->check(CLI::Range(0.1, 3600.0))->capture_default_str();
  app.add_option("--warm-up", options.plan.warm_up_s, "seconds before that are not counted")
      ->check(CLI::Range(0.0, 600.0))
      ->capture_default_str();
  app.add_option("-n,--requests", options.plan.requests_max, "end after so many requests");
  app.add_option("--rate", options.plan.rate, "open loop: requests a second, timed from when each was due")->check(CLI::PositiveNumber);
  app.add_option("-X,--method", options.method, "default: GET, or POST with a body");
  app.add_option("-H,--header", options.headers, "a header line, may be given again");
  app.add_option("--body", options.body, "the request's body");
  app.add_option("--body-file", options.body_file, "a file that holds it");
  app.add_option("--pid", options.pid, "report the CPU time of this process for each request");
  app.add_option("--exclude-thread", options.except, "with --pid: leave out threads whose name starts so");
  app.add_flag("--json", options.json, "one JSON object instead of text");
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  std::size_t slash = options.url.find('/', options.url.find("//") == std::string::npos ? 0 : options.url.find("//") + 2);
  std::string target = slash == std::string::npos ? "/" : options.url.substr(slash);
  auto url = net::ParseBaseUrl(options.url.substr(0, slash));
  if (!url || url->tls) {
    fmt::print(stderr, "nereid bench: {}\n", url ? "only http:// is loaded" : url.error().message);
    return 2;
  }
  options.plan.host = url->host == "localhost" ? "127.0.0.1" : url->host;
  options.plan.port = url->port;
  auto request = BuildRequest(options, *url, target);
  if (!request) {
    fmt::print(stderr, "nereid bench: {}\n", request.error().message);
    return 2;
  }
  options.plan.request = *std::move(request);
  bool terminal = ::isatty(STDERR_FILENO) != 0;
  double cpu_before = 0;
  SteadyTime measured_from{};
  auto progress = [&](double seconds, std::uint64_t requests) {
    if (terminal) fmt::print(stderr, "\r{:.0f} s, {} requests ", seconds, requests);
  };
  auto warmed = [&] {
    measured_from = std::chrono::steady_clock::now();
    if (options.pid > 0) cpu_before = CpuSeconds(options.pid, options.except);
  };
  auto record = RunLoad(options.plan, progress, warmed);
  double cpu = options.pid > 0 ? CpuSeconds(options.pid, options.except) - cpu_before : 0;
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - measured_from).count();
  if (terminal) fmt::print(stderr, "\r\033[K");
  if (!record) {
    fmt::print(stderr, "nereid bench: {}\n", record.error().message);
    return 1;
  }
  if (options.json) PrintJson(*record, seconds, cpu);
  else PrintText(*record, seconds, cpu, options.pid);
  return record->requests > 0 ? 0 : 1;
}

}  // namespace nereid::cli

// Server and client against each other over loopback, on port zero.
#include <gtest/gtest.h>

#include <sys/socket.h>

#include <future>
#include <latch>

#include "net/http_client.h"
#include "net/http_server.h"
#include "net/spawn.h"
#include "net/stream_channel.h"

namespace nereid::net {
namespace {

Task<Nothing> Echo(Exchange& exchange) {
  if (exchange.path() == "/stream") {
    exchange.Start(ResponseHead{200, "text/plain", {}});
    for (int i = 0; i < 3; ++i) CO_TRY_DO(co_await exchange.Write("piece"));
    co_return co_await exchange.Finish();
  }
  if (exchange.path() == "/cut") {
    exchange.Start(ResponseHead{200, "text/plain", {}});
    CO_TRY_DO(co_await exchange.Write("piece"));
    exchange.Abort();
    co_return Error(Code::kInternal, "cut");
  }
  if (exchange.path() == "/tail") {  // what lies behind the first ten bytes apart, if there is memory
    bool none = exchange.query() == "none";
    BodyTail tail{
        10, [none](std::size_t bytes) { return none ? nullptr : std::shared_ptr<char>(new char[bytes], std::default_delete<char[]>()); }};
    CO_TRY(Body body, co_await exchange.ReadBody(1 << 20, tail));
    std::string text = fmt::format("{}+{}:{}", body.size, body.tail_size, body.view());
    text.append(body.tail.get(), body.tail_size);
    co_return co_await exchange.Respond(ResponseHead{200, "text/plain", {}}, text);
  }
  CO_TRY(Body body, co_await exchange.ReadBody(1 << 20));
  co_return co_await exchange.Respond(ResponseHead{200, "text/plain", {}}, body.view());
}

class Loopback : public testing::Test {
 protected:
  Loopback() : threads_(1), server_(threads_, HttpServerOptions{}, Echo), client_(threads_) {
    threads_.Start();
    auto port = server_.Start();
    EXPECT_TRUE(port) << port.error().message;
    origin_.host = "127.0.0.1";
    origin_.port = *port;
  }
  ~Loopback() override {
    client_.Stop();
    EXPECT_TRUE(server_.Drain(std::chrono::steady_clock::now() + std::chrono::seconds(10)));
    while (RunningTasks() != 0) std::this_thread::yield();
  }

  Result<std::string> Fetch(std::string request) {
    std::promise<Result<std::string>> answer;
    Spawn(threads_.executor(0), FetchTask(request), [&](Result<std::string> result) { answer.set_value(std::move(result)); });
    return answer.get_future().get();
  }
  Task<std::string> FetchTask(std::string request) {
    std::string_view pieces[] = {request};
    CO_TRY(UpstreamAnswer answer, co_await client_.Send(origin_, pieces, Deadline()));
    std::string storage;
    CO_TRY(std::string_view body, co_await answer.ReadAll(storage, 1 << 20));
    co_return std::string(body);
  }

  IoThreads threads_;
  HttpServer server_;
  HttpClient client_;
  Origin origin_;
};

TEST_F(Loopback, EchoesABodyAndReusesTheConnection) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Fetch("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"), "hello");
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(Loopback, EchoesALargeBody) {
  std::string body(900'000, 'x');
  EXPECT_EQ(Fetch("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n" + body), body);
  EXPECT_EQ(Fetch("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\ndbba0\r\n" + body + "\r\n0\r\n\r\n"), body);
}

TEST_F(Loopback, TheTailOfALargeBodyIsReceivedApart) {
  std::string body;
  while (body.size() < 900'000) body += std::to_string(body.size());
  body.resize(900'000);
  std::string head = "Host: h\r\nContent-Length: 900000\r\n\r\n";
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Fetch("POST /tail HTTP/1.1\r\n" + head + body), "10+899990:" + body);
  EXPECT_EQ(Fetch("POST /tail?none HTTP/1.1\r\n" + head + body), "900000+0:" + body);
  EXPECT_EQ(server_.connections(), 1);
  // Not where it makes no difference, or is not known beforehand.
  EXPECT_EQ(Fetch("POST /tail HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" + body.substr(0, 50'000)),
            "50000+0:" + body.substr(0, 50'000));
  EXPECT_EQ(Fetch("POST /tail HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\ndbba0\r\n" + body + "\r\n0\r\n\r\n"),
            "900000+0:" + body);
}

TEST_F(Loopback, StreamsChunksToTheirEnd) {
  EXPECT_EQ(Fetch("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"), "piecepiecepiece");
}

TEST_F(Loopback, ACutStreamIsAnErrorAndNoEnd) {
  auto answer = Fetch("GET /cut HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_FALSE(answer);
  EXPECT_TRUE(answer.error().reason == "cut" || answer.error().reason == "reset") << answer.error().reason;
}

TEST_F(Loopback, ASecondServerOnThePortFails) {
  HttpServerOptions options;
  options.listen.port = origin_.port;
  HttpServer second(threads_, options, Echo);
  auto started = second.Start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().reason, "port_in_use");
}

TEST_F(Loopback, NobodyThereIsConnectFailed) {
  Origin nobody;
  nobody.host = "127.0.0.1";
  nobody.port = 1;
  std::promise<Result<UpstreamAnswer>> answer;
  std::string request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  std::string_view pieces[] = {request};
  Spawn(threads_.executor(0), client_.Send(nobody, pieces, Deadline()), [&](auto result) { answer.set_value(std::move(result)); });
  auto result = answer.get_future().get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, "connect_failed");
}

TEST_F(Loopback, RunOnAllReachesEveryThread) {
  std::promise<int> seen;
  auto count = std::make_shared<std::atomic<int>>(0);
  Spawn(threads_.executor(0), threads_.RunOnAll([count](int) { ++*count; }), [&](auto) { seen.set_value(*count); });
  EXPECT_EQ(seen.get_future().get(), threads_.count());
}

Task<int> Sum(std::shared_ptr<StreamChannel<int>> channel, int values) {
  int sum = 0;
  for (int i = 0; i < values; ++i) {
    CO_TRY(int value, co_await channel->Next());
    sum += value;
  }
  co_return sum;
}

TEST_F(Loopback, AChannelCarriesEveryValueAndPushesBackWhenFull) {
  auto channel = std::make_shared<StreamChannel<int>>(threads_.executor(0), 64, [](const int&) { return sizeof(int); });
  std::promise<Result<int>> sum;
  Spawn(threads_.executor(0), Sum(channel, 1000), [&](Result<int> result) { sum.set_value(result); });
  for (int i = 1; i <= 1000; ++i) {
    while (channel->Push(channel, int{i}, false) == StreamChannel<int>::Pushed::kFull) {
      std::latch room(1);
      channel->OnRoom([&] { room.count_down(); });
      room.wait();
    }
  }
  EXPECT_EQ(sum.get_future().get(), 500'500);
}

}  // namespace
}  // namespace nereid::net

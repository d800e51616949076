// An HTTP/2 server on port zero whose receivers do as a request's path says, or what the test tells them to.
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>

#include <gtest/gtest.h>

#include "net/http2_client_for_test.h"
#include "net/http2_server.h"
#include "net/spawn.h"

namespace nereid::net {

inline constexpr std::chrono::seconds kPatience{10};  // beyond it a test hangs

// Bytes of which a lost, doubled or moved one shows.
inline std::string Pattern(std::size_t size, int seed = 0) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 31 + i / 251 + static_cast<std::size_t>(seed) * 7) % 256);
  return text;
}

inline void Answer200(Http2Stream& stream, bool ends = false) {
  HeaderField head[] = {{":status", "200"}, {"x-kind", "test"}};
  stream.Respond(head, ends);
}
inline void EndWith(Http2Stream& stream, std::string_view bytes) {
  HeaderField trailers[] = {{"x-bytes", bytes}};
  stream.End(trailers);
}

// Reads a request. /echo writes back what comes; /room has room for it; /hold consumes nothing; all but /echo leave the answer to the test.
class Probe final : public Http2Receiver {
 public:
  struct Seen {
    std::string data;
    std::size_t sent_bytes = 0, room_count = 0, in_room_count = 0;
    int end_count = 0, close_count = 0, late_count = 0;  // late: after OnClose
  };

  Probe(Http2Stream& stream, Executor executor)
      : stream_(&stream), executor_(executor), path_(stream.Header(":path").value_or("")), fields_(Copied(stream)) {
    if (path_ == "/echo") Answer200(stream);
  }

  // ---- the test's thread

  template <class Condition>
  bool Await(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return condition(seen_); });
  }
  Seen seen() {
    std::lock_guard lock(mutex_);
    return seen_;
  }
  // On the stream's thread, unless it is closed. Answers whether it was done.
  bool Do(const std::function<void(Http2Stream&)>& work) {
    std::promise<bool> done;
    asio::post(executor_, [&] {
      if (stream_) work(*stream_);
      done.set_value(stream_ != nullptr);
    });
    return done.get_future().get();
  }
  const std::string& path() const { return path_; }
  const Fields& fields() const { return fields_; }

  // ---- Http2Receiver

  void OnData(std::string_view bytes) override {
    bool in_room = !room_.empty() && bytes.data() >= room_.data() && bytes.data() + bytes.size() <= room_.data() + room_.size();
    Note([&](Seen& seen) {
      seen.data += bytes;
      seen.in_room_count += in_room;
    });
    if (path_ == "/echo") stream_->Write(Piece::Own(std::string(bytes)));
    if (path_ != "/hold") stream_->Consume(bytes.size());
  }
  std::span<char> Room() override {
    if (path_ != "/room") return {};
    Note([](Seen& seen) { ++seen.room_count; });
    // Sizes of all kinds, some too small to be worth it, some larger than a frame.
    room_.assign(std::array{2'000'000, 100'000, 40'000, 1000}[room_count_++ % 4], '?');
    return room_;
  }
  void OnEnd() override {
    Note([](Seen& seen) { ++seen.end_count; });
    if (path_ == "/echo") EndWith(*stream_, std::to_string(seen().data.size()));
  }
  void OnSent(std::size_t bytes) override {
    Note([&](Seen& seen) { seen.sent_bytes += bytes; });
  }
  void OnTick(SteadyTime) override {
    Note([](Seen&) {});
  }
  void OnClose() override {
    stream_ = nullptr;
    Note([](Seen& seen) { ++seen.close_count; });
  }

 private:
  static Fields Copied(const Http2Stream& stream) {
    Fields fields;
    for (const HeaderField& field : stream.headers()) fields.emplace_back(field.name, field.value);
    return fields;
  }
  template <class Change>
  void Note(Change change) {
    std::lock_guard lock(mutex_);
    if (seen_.close_count > 0) ++seen_.late_count;
    change(seen_);
    changed_.notify_all();
  }

  // The stream's thread.
  Http2Stream* stream_;  // until OnClose
  std::vector<char> room_;
  std::size_t room_count_ = 0;

  const Executor executor_;
  const std::string path_;
  const Fields fields_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Seen seen_;  // guarded by mutex_
};

class Http2Test : public testing::Test {
 protected:
  ~Http2Test() override {
    if (server_ && !drained_) EXPECT_TRUE(Drain(kPatience));
    while (RunningTasks() != 0) std::this_thread::yield();
    threads_.Stop();
    threads_.Join();
  }

  void Begin(Http2Options options = Calm()) {
    server_.emplace(threads_, std::move(options), [this](Http2Stream& stream, int, Executor executor) { return Accept(stream, executor); });
    threads_.Start();
    auto port = server_->Start();
    ASSERT_TRUE(port) << port.error().message;
    port_ = *port;
  }
  // Takes any number of the tests' pings.
  static Http2Options Calm() {
    Http2Options options;
    options.ping_strikes_max = 0;
    return options;
  }

  // The next request that has come; null after long.
  std::shared_ptr<Probe> Next() {
    std::unique_lock lock(mutex_);
    if (!came_.wait_for(lock, kPatience, [&] { return !probes_.empty(); })) return nullptr;
    std::shared_ptr<Probe> probe = std::move(probes_.front());
    probes_.pop_front();
    return probe;
  }
  // A new connection is served.
  void ExpectUp() {
    Http2TestClient client(port_);
    std::int32_t stream = client.Post("/echo", "still there");
    EXPECT_TRUE(client.UntilEnded(stream));
    EXPECT_EQ(client.answer(stream).data, "still there");
  }
  bool Drain(Nanos wait) {
    drained_ = true;
    return server_->Drain(std::chrono::steady_clock::now() + wait);
  }

  IoThreads threads_{1};
  int port_ = 0;

 private:
  std::shared_ptr<Http2Receiver> Accept(Http2Stream& stream, Executor executor) {
    if (stream.Header(":path") == "/head") {
      Answer200(stream, true);
      return nullptr;
    }
    auto probe = std::make_shared<Probe>(stream, executor);
    std::lock_guard lock(mutex_);
    probes_.push_back(probe);
    came_.notify_all();
    return probe;
  }

  std::optional<Http2Server> server_;
  bool drained_ = false;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::shared_ptr<Probe>> probes_;  // guarded by mutex_
};

}  // namespace nereid::net

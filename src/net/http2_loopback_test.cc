// Requests, answers and flow control of the HTTP/2 server, over loopback against a client that sends and receives when told to.
#include <gtest/gtest.h>

#include "net/http2_fixture_for_test.h"

namespace nereid::net {
namespace {

// Bytes of which a lost, doubled or moved one shows.
std::string Pattern(std::size_t size, int seed = 0) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 31 + i / 251 + static_cast<std::size_t>(seed) * 7) % 256);
  return text;
}

using Http2Loopback = Http2Test;

TEST_F(Http2Loopback, EchoesABodyAndTrailers) {
  Begin();
  Http2TestClient client(port_);
  std::int32_t stream = client.Post("/echo", "hello", true, {{"x-mine", "value"}});
  ASSERT_TRUE(client.UntilEnded(stream));
  const auto& answer = client.answer(stream);
  EXPECT_EQ(answer.data, "hello");
  EXPECT_EQ(answer.head.at(":status"), "200");
  EXPECT_EQ(answer.head.at("x-kind"), "test");
  EXPECT_EQ(answer.trailers.at("x-bytes"), "5");
  EXPECT_EQ(answer.closed, NGHTTP2_NO_ERROR);
  EXPECT_FALSE(answer.reset);
  auto probe = Next();
  EXPECT_TRUE(probe->Await([](const auto& seen) { return seen.close_count == 1; }));
  EXPECT_EQ(probe->seen().end_count, 1);
  Fields fields = {{":method", "POST"}, {":scheme", "http"}, {":path", "/echo"}, {":authority", "test"}, {"x-mine", "value"}};
  EXPECT_EQ(probe->fields(), fields);
}

TEST_F(Http2Loopback, EchoesABodyLargerThanTheWindows) {
  Http2Options options = Calm();
  options.window_bytes = 100'000;
  Begin(options);
  Http2TestClient client(port_);
  std::string body = Pattern(3 << 20);
  std::int32_t stream = client.Post("/echo", body);
  ASSERT_TRUE(client.UntilEnded(stream));
  EXPECT_TRUE(client.answer(stream).data == body);
  EXPECT_EQ(client.answer(stream).trailers.at("x-bytes"), std::to_string(body.size()));
  EXPECT_EQ(Next()->seen().sent_bytes, body.size());
}

TEST_F(Http2Loopback, OneConnectionCarriesRequestAfterRequest) {
  Begin();
  Http2TestClient client(port_);
  for (int i = 0; i < 50; ++i) {
    std::int32_t stream = client.Post("/echo", Pattern(3000, i));
    ASSERT_TRUE(client.UntilEnded(stream));
    EXPECT_EQ(client.answer(stream).data, Pattern(3000, i));
  }
}

TEST_F(Http2Loopback, PiecesArriveInOrderAndAreLetGo) {
  Begin();
  Http2TestClient client(port_);
  std::int32_t stream = client.Post("/hold", "");
  client.Flush();
  auto probe = Next();
  std::string whole = Pattern(1'500'000);
  auto owner = std::make_shared<const std::string>(whole);
  ASSERT_TRUE(probe->Do([&](Http2Stream& answer) {
    Answer200(answer);
    std::string_view left = *owner;
    for (std::size_t i = 0; !left.empty(); ++i) {  // small ones are copied, large ones not
      std::string_view part = left.substr(0, i * 97 % 5000);
      answer.Write({owner, part});
      left.remove_prefix(part.size());
    }
    EndWith(answer, "all");
  }));
  ASSERT_TRUE(client.UntilEnded(stream));
  EXPECT_TRUE(client.answer(stream).data == whole);
  EXPECT_EQ(client.answer(stream).trailers.at("x-bytes"), "all");
  EXPECT_TRUE(client.Settle());
  EXPECT_EQ(owner.use_count(), 1);
}

TEST_F(Http2Loopback, WhatIsWrittenBeforeTheHeadOrAfterTheEndIsNotSent) {
  Begin();
  Http2TestClient client(port_);
  std::int32_t stream = client.Post("/hold", "");
  client.Flush();
  ASSERT_TRUE(Next()->Do([](Http2Stream& answer) {
    answer.Write(Piece::Own("early"));
    EndWith(answer, "early");
    Answer200(answer);
    Answer200(answer, true);
    answer.Write(Piece::Own("right"));
    EndWith(answer, "5");
    EndWith(answer, "late");
    answer.Write(Piece::Own("late"));
  }));
  ASSERT_TRUE(client.UntilEnded(stream));
  EXPECT_EQ(client.answer(stream).data, "right");
  EXPECT_EQ(client.answer(stream).trailers.at("x-bytes"), "5");
}

TEST_F(Http2Loopback, AHeadMayBeTheWholeAnswer) {
  Begin();
  Http2TestClient client(port_);
  std::int32_t stream = client.Post("/head", Pattern(100'000));
  ASSERT_TRUE(client.UntilEnded(stream));
  EXPECT_EQ(client.answer(stream).head.at(":status"), "200");
  EXPECT_EQ(client.answer(stream).data, "");
  EXPECT_TRUE(client.answer(stream).trailers.empty());
}

TEST_F(Http2Loopback, AnEndWithoutTrailersIsAnEnd) {
  Begin();
  Http2TestClient client(port_);
  std::int32_t stream = client.Post("/hold", "");
  client.Flush();
  auto probe = Next();
  probe->Do([](Http2Stream& answer) {
    Answer200(answer);
    answer.Write(Piece::Own("data"));
  });
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).data == "data"; }));
  EXPECT_FALSE(client.answer(stream).ended);
  probe->Do([](Http2Stream& answer) { answer.End({}); });
  ASSERT_TRUE(client.UntilEnded(stream));
  EXPECT_EQ(client.answer(stream).data, "data");
}

TEST_F(Http2Loopback, TrailersOfARequestAreItsEnd) {
  Begin();
  Http2TestClient client(port_);
  std::int32_t stream = client.Post("/echo", "data", false);
  client.Flush();
  client.SendTrailers(stream, {{"x-trailer", "1"}});
  ASSERT_TRUE(client.UntilEnded(stream));
  EXPECT_EQ(client.answer(stream).data, "data");
  EXPECT_EQ(Next()->seen().end_count, 1);
}

TEST_F(Http2Loopback, AnAnswerBeforeTheEndOfTheRequestIsWhole) {
  Begin();
  Http2TestClient client(port_);
  std::int32_t stream = client.Post("/hold", "never whole", false);
  client.Flush();
  auto probe = Next();
  std::string data = Pattern(500'000);
  probe->Do([&](Http2Stream& answer) {
    Answer200(answer);
    answer.Write(Piece::Own(data));
    EndWith(answer, "early");
  });
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).reset.has_value(); }));
  EXPECT_TRUE(client.answer(stream).ended);
  EXPECT_TRUE(client.answer(stream).data == data);
  EXPECT_EQ(client.answer(stream).trailers.at("x-bytes"), "early");
  EXPECT_EQ(client.answer(stream).reset, NGHTTP2_NO_ERROR);
  EXPECT_TRUE(probe->Await([](const auto& seen) { return seen.close_count == 1; }));
  EXPECT_EQ(probe->seen().end_count, 0);
}

// ---------------------------------------------------------------- room

struct Frames {
  std::size_t bytes, padding;
  bool in_room;
};
class Http2Room : public Http2Test, public testing::WithParamInterface<Frames> {};

TEST_P(Http2Room, DataArriveWholeWhateverTheFrames) {
  Begin();
  Http2TestClient client(port_, {.frame_bytes = GetParam().bytes, .padding_bytes = GetParam().padding});
  ASSERT_TRUE(client.Settle());  // knows what the server takes
  std::string body = Pattern(5'000'000);
  std::int32_t stream = client.Post("/room", body);
  std::int32_t other = client.Post("/echo", Pattern(300'000, 1));  // whose frames come between
  client.Flush();
  auto probe = Next();
  ASSERT_EQ(probe->path(), "/room");
  ASSERT_TRUE(client.UntilEnded(other));
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).sent_bytes == body.size(); }));
  ASSERT_TRUE(probe->Await([](const auto& seen) { return seen.end_count == 1; }));
  EXPECT_TRUE(probe->seen().data == body);
  EXPECT_TRUE(client.answer(other).data == Pattern(300'000, 1));
  EXPECT_EQ(probe->seen().in_room_count > 0, GetParam().in_room);
  probe->Do([](Http2Stream& answer) { Answer200(answer, true); });
  EXPECT_TRUE(client.UntilEnded(stream));
}

INSTANTIATE_TEST_SUITE_P(, Http2Room,
                         testing::Values(Frames{1 << 20, 0, true}, Frames{200'000, 0, true}, Frames{16'384, 0, false},
                                         Frames{16'000, 200, false}, Frames{900'000, 255, false}),
                         [](const auto& info) { return fmt::format("{}Padded{}", info.param.bytes, info.param.padding); });

TEST_F(Http2Loopback, AClientMayLeaveInTheMiddleOfAFrameThatIsReceivedInRoom) {
  Begin();
  Http2TestClient client(port_);
  ASSERT_TRUE(client.Settle());
  client.Post("/room", "x", false);
  client.Flush();
  client.SendRaw(FrameBytes(NGHTTP2_DATA, 0, 1, std::string(1 << 20, 'y')).substr(0, 400'000));
  auto probe = Next();
  ASSERT_TRUE(probe->Await([](const auto& seen) { return seen.data.size() > 200'000; }));
  client.Close();
  EXPECT_TRUE(probe->Await([](const auto& seen) { return seen.close_count == 1; }));
  EXPECT_EQ(probe->seen().end_count, 0);
}

// ---------------------------------------------------------------- many streams

TEST_F(Http2Loopback, ManyStreamsAtOnceDoNotMix) {
  constexpr int kStreams = 100;
  Begin();
  Http2TestClient client(port_);
  std::vector<std::int32_t> streams;
  for (int i = 0; i < kStreams; ++i) streams.push_back(client.Post("/echo", Pattern(2000, i), false));
  ASSERT_TRUE(client.Until(
      [&] { return std::ranges::all_of(streams, [&](std::int32_t stream) { return client.answer(stream).data.size() == 2000; }); }));
  for (int i = kStreams; i-- > 0;) client.Send(streams[static_cast<std::size_t>(i)], Pattern(20'000, i + 1), true);
  for (int i = 0; i < kStreams; ++i) {
    std::int32_t stream = streams[static_cast<std::size_t>(i)];
    ASSERT_TRUE(client.UntilEnded(stream));
    EXPECT_TRUE(client.answer(stream).data == Pattern(2000, i) + Pattern(20'000, i + 1)) << i;
    EXPECT_EQ(client.answer(stream).trailers.at("x-bytes"), "22000");
  }
}

// ---------------------------------------------------------------- flow control

TEST_F(Http2Loopback, AReceiverThatConsumesNothingHoldsTheClientBack) {
  Http2Options options = Calm();
  options.window_bytes = 200'000;
  Begin(options);
  Http2TestClient client(port_);
  ASSERT_TRUE(client.Settle());
  std::string body = Pattern(500'000);
  std::int32_t stream = client.Post("/hold", body);
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).sent_bytes >= 200'000; }));
  ASSERT_TRUE(client.Settle());
  EXPECT_EQ(client.answer(stream).sent_bytes, 200'000u);
  auto probe = Next();
  EXPECT_EQ(probe->seen().data.size(), 200'000u);

  std::int32_t other = client.Post("/echo", "not held");
  EXPECT_TRUE(client.UntilEnded(other));

  probe->Do([](Http2Stream& request) { request.Consume(150'000); });
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).sent_bytes >= 350'000; }));
  ASSERT_TRUE(client.Settle());
  EXPECT_EQ(client.answer(stream).sent_bytes, 350'000u);
  probe->Do([](Http2Stream& request) { request.Consume(200'000); });
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).sent_bytes == body.size(); }));
  ASSERT_TRUE(probe->Await([](const auto& seen) { return seen.end_count == 1; }));
  EXPECT_TRUE(probe->seen().data == body);
}

TEST_F(Http2Loopback, AStreamThatEndsUnconsumedLeavesTheConnectionItsWindow) {
  Begin();
  Http2TestClient client(port_);
  ASSERT_TRUE(client.Settle());
  for (int i = 0; i < 30; ++i) {  // together more than the connection's window
    std::int32_t stream = client.Post("/hold", std::string(4 << 20, 'x'));
    client.Flush();
    auto probe = Next();
    ASSERT_TRUE(client.Until([&] { return client.answer(stream).sent_bytes == 4 << 20; })) << i;
    probe->Do([](Http2Stream& answer) { Answer200(answer, true); });
    ASSERT_TRUE(client.UntilEnded(stream)) << i;
  }
}

TEST_F(Http2Loopback, AClientThatOpensNoWindowHoldsOnlyItsOwnStreamBack) {
  Begin();
  Http2TestClient client(port_, {.window_bytes = 10'000, .opens_windows = false});
  std::int32_t stream = client.Post("/hold", "");
  client.Flush();
  auto probe = Next();
  std::string data = Pattern(50'000);
  probe->Do([&](Http2Stream& answer) {
    Answer200(answer);
    for (std::size_t at = 0; at < data.size(); at += 2500) answer.Write(Piece::Own(data.substr(at, 2500)));
    EndWith(answer, "all");
  });
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).data.size() >= 10'000; }));
  std::int32_t other = client.Post("/echo", "not held");
  ASSERT_TRUE(client.UntilEnded(other));
  ASSERT_TRUE(client.Settle());
  EXPECT_EQ(client.answer(stream).data.size(), 10'000u);
  EXPECT_EQ(probe->seen().sent_bytes, 10'000u);
  EXPECT_FALSE(client.answer(stream).ended);

  client.OpenWindow(stream, 10'000);
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).data.size() >= 20'000; }));
  ASSERT_TRUE(client.Settle());
  EXPECT_EQ(probe->seen().sent_bytes, 20'000u);
  while (!client.answer(stream).ended) {
    std::size_t before = client.answer(stream).data.size();
    client.OpenWindow(stream, 10'000);
    ASSERT_TRUE(client.Until([&] { return client.answer(stream).data.size() > before || client.answer(stream).ended; }));
  }
  EXPECT_TRUE(client.answer(stream).data == data);
  EXPECT_EQ(client.answer(stream).trailers.at("x-bytes"), "all");
}

// ---------------------------------------------------------------- ends before the end

TEST_F(Http2Loopback, AStreamThatTheClientResetsIsClosedOnceAndTheConnectionGoesOn) {
  Begin();
  Http2TestClient client(port_, {.window_bytes = 1000, .opens_windows = false});
  std::int32_t stream = client.Post("/hold", "part", false);
  client.Flush();
  auto probe = Next();
  ASSERT_TRUE(probe->Await([](const auto& seen) { return seen.data == "part"; }));
  probe->Do([](Http2Stream& answer) {  // data of it are under way
    Answer200(answer);
    answer.Write(Piece::Own(std::string(100'000, 'x')));
  });
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).data.size() == 1000; }));
  client.Reset(stream);
  client.Flush();
  ASSERT_TRUE(probe->Await([](const auto& seen) { return seen.close_count == 1; }));
  EXPECT_FALSE(probe->Do([](Http2Stream&) {}));
  client.SendRaw(FrameBytes(NGHTTP2_DATA, 0, stream, "too late"));
  std::int32_t next = client.Post("/echo", "next");
  ASSERT_TRUE(client.UntilEnded(next));
  Probe::Seen seen = probe->seen();
  EXPECT_EQ(seen.data, "part");
  EXPECT_EQ(seen.end_count, 0);
  EXPECT_EQ(seen.close_count, 1);
  EXPECT_EQ(seen.late_count, 0);
}

TEST_F(Http2Loopback, AClientThatGoesAwayClosesItsStreams) {
  Begin();
  Http2TestClient client(port_);
  for (int i = 0; i < 5; ++i) client.Post("/hold", "part", false);
  client.Flush();
  std::vector<std::shared_ptr<Probe>> probes;
  for (int i = 0; i < 5; ++i) probes.push_back(Next());
  client.Close();
  for (const auto& probe : probes) {
    ASSERT_TRUE(probe->Await([](const auto& seen) { return seen.close_count == 1; }));
    EXPECT_EQ(probe->seen().end_count, 0);
    EXPECT_EQ(probe->seen().late_count, 0);
  }
  ExpectUp();
}

}  // namespace
}  // namespace nereid::net

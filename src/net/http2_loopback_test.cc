// Requests and answers of the HTTP/2 server, over loopback against a client that sends and receives when told to.
#include <gtest/gtest.h>

#include "net/http2_fixture_for_test.h"

namespace nereid::net {
namespace {

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

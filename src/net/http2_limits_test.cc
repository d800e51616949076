// What clients of the HTTP/2 server may not do, and what comes of it.
#include <gtest/gtest.h>

#include "net/http2_fixture_for_test.h"

namespace nereid::net {
namespace {

constexpr std::uint8_t kEndOfStream = NGHTTP2_FLAG_END_STREAM, kEndOfHeaders = NGHTTP2_FLAG_END_HEADERS;

// POST http / of host "h", in HPACK without anything that has to be remembered.
const std::string kSmallHead = std::string("\x83\x86\x84") + '\x01' + '\x01' + 'h';

using Http2Limits = Http2Test;

// ---------------------------------------------------------------- no HTTP/2

TEST_F(Http2Limits, WhatIsNoHttp2IsClosed) {
  Begin();
  for (std::string_view garbage : {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rx",
                                   "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PRI * HTTP/1.1\r\n\r\n"}) {
    Http2TestClient client(port_);
    client.SendRaw(garbage);
    while (client.Receive()) {
    }
    EXPECT_TRUE(client.closed()) << garbage;
  }
  ExpectUp();
}

TEST_F(Http2Limits, GarbageBehindThePrefaceEndsTheConnection) {
  Begin();
  for (const std::string& garbage :
       {std::string(100, '\xff'), FrameBytes(NGHTTP2_DATA, 0, 0, "for no stream"), FrameBytes(NGHTTP2_DATA, 0, 7, "for an idle stream"),
        FrameBytes(NGHTTP2_PING, 0, 0, "short"), FrameBytes(NGHTTP2_HEADERS, kEndOfHeaders, 2, kSmallHead),
        FrameBytes(NGHTTP2_HEADERS, kEndOfHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff"), FrameBytes(NGHTTP2_CONTINUATION, 0, 1, "of nothing"),
        FrameBytes(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string(4, '\0')), FrameBytes(NGHTTP2_PUSH_PROMISE, 0, 1, std::string(8, '\0'))}) {
    Http2TestClient client(port_);
    ASSERT_TRUE(client.Settle());
    client.SendRaw(garbage);
    EXPECT_TRUE(client.UntilClosed()) << testing::PrintToString(garbage);
    ASSERT_EQ(client.goaways().size(), 1u) << testing::PrintToString(garbage);
    EXPECT_NE(client.goaways()[0].error, NGHTTP2_NO_ERROR);
  }
  ExpectUp();
}

TEST_F(Http2Limits, GarbageClosesTheStreamsUnderWay) {
  Begin();
  Http2TestClient client(port_);
  client.Post("/hold", "part", false);
  client.Flush();
  auto probe = Next();
  client.SendRaw(std::string(100, '\xff'));
  EXPECT_TRUE(probe->Await([](const auto& seen) { return seen.close_count == 1; }));
  EXPECT_TRUE(client.UntilClosed());
  EXPECT_EQ(probe->seen().late_count, 0);
}

TEST_F(Http2Limits, AFrameCutAtAnyByteIsAnEndLikeAnyOther) {
  Begin();
  std::string wire = FrameBytes(NGHTTP2_HEADERS, kEndOfHeaders, 1, kSmallHead) + FrameBytes(NGHTTP2_DATA, kEndOfStream, 1, "data");
  for (std::size_t size = 0; size < wire.size(); ++size) {
    Http2TestClient client(port_);
    client.Flush();
    client.SendRaw(std::string_view(wire).substr(0, size));
  }
  ExpectUp();
}

// ---------------------------------------------------------------- bounds

TEST_F(Http2Limits, AHeadBeyondItsBoundResetsItsStreamOnly) {
  Http2Options options = Calm();
  options.head_bytes_max = 4096;
  Begin(options);
  Http2TestClient client(port_);
  std::size_t others = 4 * 32;  // of each field
  for (const auto& [name, value] : Fields{{":method", "POST"}, {":scheme", "http"}, {":path", "/echo"}, {":authority", "test"}})
    others += name.size() + value.size();
  std::size_t left = 4096 - others - 32 - std::string_view("x-long").size();
  std::int32_t fits = client.Post("/echo", "body", true, {{"x-long", std::string(left, 'x')}});
  std::int32_t one_more = client.Post("/echo", "body", true, {{"x-long", std::string(left + 1, 'x')}});
  std::int32_t far_more = client.Post("/echo", "body", true, {{"x-long", std::string(20'000, 'x')}});
  std::int32_t small = client.Post("/echo", "body");
  ASSERT_TRUE(client.UntilEnded(fits) && client.UntilEnded(small));
  ASSERT_TRUE(client.Until([&] { return client.answer(one_more).closed && client.answer(far_more).closed; }));
  EXPECT_EQ(client.answer(fits).data, "body");
  EXPECT_EQ(client.answer(small).data, "body");
  for (std::int32_t stream : {one_more, far_more}) {
    EXPECT_TRUE(client.answer(stream).reset) << stream;
    EXPECT_TRUE(client.answer(stream).head.empty());
  }
  EXPECT_TRUE(client.goaways().empty());
  EXPECT_EQ(Next()->fields().back().second.size(), left);
  EXPECT_EQ(Next()->fields().back().first, ":authority");
}

TEST_F(Http2Limits, AHeadThatIsLongOnlyOnceUnpackedIsBoundToo) {
  Begin();
  Http2TestClient client(port_);
  Fields same(1000, {"x-same", std::string(2000, 'y')});  // one byte each on the wire, but for the first
  std::int32_t stream = client.Post("/hold", "", true, same);
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).reset.has_value(); }));
  std::int32_t next = client.Post("/echo", "next");
  EXPECT_TRUE(client.UntilEnded(next));
  EXPECT_EQ(Next()->path(), "/echo");  // the other was never handed over
}

TEST_F(Http2Limits, AnAnswerWhoseHeadOrTrailersAreTooLongResetsItsStream) {
  Begin();
  Http2TestClient client(port_);
  std::string too_long(100'000, 'x');
  std::int32_t head = client.Post("/hold", ""), trailers = client.Post("/hold", "");
  client.Flush();
  Next()->Do([&](Http2Stream& answer) {
    HeaderField fields[] = {{":status", "200"}, {"x-long", too_long}};
    answer.Respond(fields, true);
  });
  Next()->Do([&](Http2Stream& answer) {
    Answer200(answer);
    EndWith(answer, too_long);
  });
  ASSERT_TRUE(client.Until([&] { return client.answer(head).reset && client.answer(trailers).reset; }));
  std::int32_t next = client.Post("/echo", "next");
  EXPECT_TRUE(client.UntilEnded(next));
}

TEST_F(Http2Limits, StreamsBeyondTheBoundAreRefused) {
  Http2Options options = Calm();
  options.streams_max = 3;
  Begin(options);
  Http2TestClient client(port_);
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 5; ++i) streams.push_back(client.Post("/hold", "", false));
  client.Flush();  // before the server's settings are known
  ASSERT_TRUE(client.Until([&] { return client.answer(streams[3]).reset && client.answer(streams[4]).reset; }));
  EXPECT_EQ(client.answer(streams[3]).reset, NGHTTP2_REFUSED_STREAM);
  EXPECT_EQ(client.answer(streams[4]).reset, NGHTTP2_REFUSED_STREAM);
  ASSERT_TRUE(client.Settle());
  for (int i = 0; i < 3; ++i) Next()->Do([](Http2Stream& answer) { Answer200(answer, true); });
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(client.UntilEnded(streams[i]));
  std::int32_t next = client.Post("/echo", "room again");
  EXPECT_TRUE(client.UntilEnded(next));
}

TEST_F(Http2Limits, AClientThatKnowsTheBoundAndExceedsItIsSentAway) {
  Http2Options options = Calm();
  options.streams_max = 3;
  Begin(options);
  Http2TestClient client(port_);
  ASSERT_TRUE(client.Settle());
  for (std::int32_t stream : {1, 3, 5, 7}) client.SendRaw(FrameBytes(NGHTTP2_HEADERS, kEndOfHeaders, stream, kSmallHead));
  EXPECT_TRUE(client.UntilClosed());
  ASSERT_FALSE(client.goaways().empty());
  EXPECT_EQ(client.goaways()[0].error, NGHTTP2_PROTOCOL_ERROR);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Next()->Await([](const auto& seen) { return seen.close_count == 1; }));
  ExpectUp();
}

TEST_F(Http2Limits, DataBeyondTheWindowResetTheStream) {
  Http2Options options = Calm();
  options.window_bytes = 100'000;
  Begin(options);
  Http2TestClient client(port_);
  ASSERT_TRUE(client.Settle());
  std::int32_t stream = client.Post("/hold", std::string(100'000, 'x'), false);
  client.Flush();
  auto probe = Next();
  ASSERT_TRUE(probe->Await([](const auto& seen) { return seen.data.size() == 100'000; }));
  client.SendRaw(FrameBytes(NGHTTP2_DATA, 0, stream, "y"));
  client.Until([&] { return client.answer(stream).reset.has_value(); });
  EXPECT_TRUE(client.answer(stream).reset == NGHTTP2_FLOW_CONTROL_ERROR ||
              (!client.goaways().empty() && client.goaways()[0].error == NGHTTP2_FLOW_CONTROL_ERROR));
  ASSERT_TRUE(probe->Await([](const auto& seen) { return seen.close_count == 1; }));
  ExpectUp();
}

TEST_F(Http2Limits, StreamsThatAreOpenedOnlyToBeResetEndTheConnection) {
  Begin();
  Http2TestClient client(port_);
  ASSERT_TRUE(client.Settle());
  for (std::int32_t i = 0; i < 20'000; ++i)
    client.SendRaw(FrameBytes(NGHTTP2_HEADERS, kEndOfHeaders, 2 * i + 1, kSmallHead) +
                   FrameBytes(NGHTTP2_RST_STREAM, 0, 2 * i + 1, std::string("\0\0\0\x08", 4)));
  EXPECT_TRUE(client.UntilClosed());
  ExpectUp();
}

// ---------------------------------------------------------------- pings

constexpr std::string_view kTooManyPings = "too_many_pings";

TEST_F(Http2Limits, PingsThatComeTooOftenSendTheClientAway) {
  Http2Options options;
  options.ping_strikes_max = 2;
  Begin(options);
  Http2TestClient client(port_);
  client.Post("/hold", "", false);
  client.Flush();
  auto probe = Next();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.Settle());  // the first is no strike
  EXPECT_TRUE(client.goaways().empty());
  client.Ping();
  EXPECT_TRUE(client.UntilClosed());
  ASSERT_EQ(client.goaways().size(), 1u);
  EXPECT_EQ(client.goaways()[0].error, NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_EQ(client.goaways()[0].text, kTooManyPings);
  EXPECT_TRUE(probe->Await([](const auto& seen) { return seen.close_count == 1; }));
  ExpectUp();
}

TEST_F(Http2Limits, PingsBetweenAnswersAreFine) {
  Http2Options options;
  options.ping_strikes_max = 2;
  Begin(options);
  Http2TestClient client(port_);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(client.Settle() && client.Settle());
    std::int32_t stream = client.Post("/echo", "x");
    ASSERT_TRUE(client.UntilEnded(stream));
  }
  EXPECT_TRUE(client.goaways().empty());
}

TEST_F(Http2Limits, PingsAtTheIntervalAreFineWhileAStreamIsOpen) {
  Http2Options options;
  options.ping_strikes_max = 1;
  options.ping_interval_min = Millis(0);
  Begin(options);
  Http2TestClient client(port_);
  client.Post("/hold", "", false);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(client.Settle());
  EXPECT_TRUE(client.goaways().empty());
}

TEST_F(Http2Limits, WithoutStreamsTheIntervalIsLong) {
  Http2Options options;
  options.ping_strikes_max = 1;
  options.ping_interval_min = Millis(0);
  Begin(options);
  Http2TestClient client(port_);
  for (int i = 0; i < 3; ++i) client.Ping();
  EXPECT_TRUE(client.UntilClosed());
  ASSERT_EQ(client.goaways().size(), 1u);
  EXPECT_EQ(client.goaways()[0].text, kTooManyPings);
}

TEST_F(Http2Limits, NoStrikesMeansAnyNumberOfPings) {
  Http2Options options;
  options.ping_strikes_max = 0;
  Begin(options);
  Http2TestClient client(port_);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.Settle());
  EXPECT_TRUE(client.goaways().empty());
}

}  // namespace
}  // namespace nereid::net

// How data reach the receivers of the HTTP/2 server, and how each side holds the other back.
#include <gtest/gtest.h>

#include "net/http2_fixture_for_test.h"

namespace nereid::net {
namespace {

using Http2Flow = Http2Test;

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

TEST_F(Http2Flow, AClientMayLeaveInTheMiddleOfAFrameThatIsReceivedInRoom) {
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

TEST_F(Http2Flow, TheRestOfAFrameThatIsIgnoredIsNotReceivedInRoom) {
  Begin();
  Http2TestClient client(port_, {.window_bytes = 1 << 30, .socket_buffer_bytes = 4096});
  ASSERT_TRUE(client.Settle());
  client.Post("/hold", "");
  client.Flush();
  auto blocking = Next();
  auto data = std::make_shared<const std::string>(64 << 20, 'x');  // more than the kernel keeps: no reset leaves before it
  blocking->Do([&](Http2Stream& answer) {
    Answer200(answer);
    answer.Write({data, *data});
  });
  std::int32_t stream = client.Post("/room", "", false, {{"content-length", "10"}});
  client.Flush();
  auto probe = Next();
  ASSERT_TRUE(probe);
  std::string frame = FrameBytes(NGHTTP2_DATA, 0, stream, std::string(1 << 20, 'y'));
  client.SendRaw(std::string_view(frame).substr(0, 1000));
  client.SendRaw(std::string_view(frame).substr(1000));
  client.SendRaw(FrameBytes(NGHTTP2_RST_STREAM, 0, stream, std::string("\0\0\0\x08", 4)));
  EXPECT_TRUE(probe->Await([](const auto& seen) { return seen.close_count == 1; }));
  EXPECT_EQ(probe->seen().room_count, 0u);
  client.Close();
  ExpectUp();
}

// ---------------------------------------------------------------- flow control

TEST_F(Http2Flow, AReceiverThatConsumesNothingHoldsTheClientBack) {
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

TEST_F(Http2Flow, AStreamThatEndsUnconsumedLeavesTheConnectionItsWindow) {
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

TEST_F(Http2Flow, AClientThatOpensNoWindowHoldsOnlyItsOwnStreamBack) {
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

TEST_F(Http2Flow, TrailersNeedNoWindow) {
  Begin();
  Http2TestClient client(port_, {.window_bytes = 10'000, .opens_windows = false});
  std::int32_t stream = client.Post("/hold", "");
  client.Flush();
  auto probe = Next();
  probe->Do([](Http2Stream& answer) {
    Answer200(answer);
    answer.Write(Piece::Own(std::string(10'000, 'x')));
  });
  ASSERT_TRUE(client.Until([&] { return client.answer(stream).data.size() == 10'000; }));
  probe->Do([](Http2Stream& answer) { EndWith(answer, "10000"); });
  ASSERT_TRUE(client.UntilEnded(stream));
  EXPECT_EQ(client.answer(stream).trailers.at("x-bytes"), "10000");
  std::int32_t next = client.Post("/echo", "next");
  EXPECT_TRUE(client.UntilEnded(next));
}

}  // namespace
}  // namespace nereid::net

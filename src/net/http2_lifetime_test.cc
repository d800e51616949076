// How connections of the HTTP/2 server end: by age, draining, silence, and clients that do not take what they asked for. And TLS.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "net/http2_fixture_for_test.h"

namespace nereid::net {
namespace {

constexpr std::int32_t kAllStreams = std::numeric_limits<std::int32_t>::max();

bool Closed(const Probe::Seen& seen) {
  return seen.close_count == 1;
}

// The stream's answer is whole, although it ends only now.
void FinishStream(Http2TestClient& client, std::int32_t stream, Probe& probe) {
  client.Send(stream, " and the rest", true);
  client.Flush();
  EXPECT_TRUE(probe.Await([](const auto& seen) { return seen.end_count == 1; }));
  EXPECT_EQ(probe.seen().data, "part and the rest");
  probe.Do([](Http2Stream& answer) {
    Answer200(answer);
    answer.Write(Piece::Own("answer"));
    EndWith(answer, "6");
  });
  EXPECT_TRUE(client.UntilEnded(stream));
  EXPECT_EQ(client.answer(stream).data, "answer");
  EXPECT_EQ(client.answer(stream).trailers.at("x-bytes"), "6");
}

class Http2Lifetime : public Http2Test {
 protected:
  // A request under way.
  std::pair<std::int32_t, std::shared_ptr<Probe>> Open(Http2TestClient& client) {
    std::int32_t stream = client.Post("/hold", "part", false);
    client.Flush();
    return {stream, Next()};
  }
  std::future<bool> DrainMeanwhile(Nanos wait) {
    return std::async(std::launch::async, [this, wait] { return Drain(wait); });
  }
};

// ---------------------------------------------------------------- age

TEST_F(Http2Lifetime, AnOldConnectionEndsOnceItsStreamsHave) {
  Http2Options options = Calm();
  options.age_max = Millis(50);
  Begin(options);
  Http2TestClient client(port_);
  auto [stream, probe] = Open(client);
  ASSERT_TRUE(client.Until([&] { return client.goaways().size() == 2; }));
  EXPECT_EQ(client.goaways()[0].last_stream, kAllStreams);
  EXPECT_EQ(client.goaways()[1].last_stream, stream);
  EXPECT_EQ(client.goaways()[1].error, NGHTTP2_NO_ERROR);
  FinishStream(client, stream, *probe);
  EXPECT_TRUE(client.UntilClosed());
  ExpectUp();
}

TEST_F(Http2Lifetime, AfterItsGraceAnOldConnectionIsCut) {
  Http2Options options = Calm();
  options.age_max = Millis(50);
  options.age_grace = Millis(50);
  Begin(options);
  Http2TestClient client(port_);
  auto [stream, probe] = Open(client);
  EXPECT_TRUE(client.UntilClosed());
  EXPECT_EQ(client.goaways().size(), 2u);
  EXPECT_FALSE(client.answer(stream).ended);
  EXPECT_TRUE(probe->Await(Closed));
  EXPECT_EQ(probe->seen().late_count, 0);
}

// ---------------------------------------------------------------- draining

TEST_F(Http2Lifetime, DrainingTellsTheClientAndLetsItsStreamsEnd) {
  Begin();
  Http2TestClient client(port_);
  auto [stream, probe] = Open(client);
  auto drained = DrainMeanwhile(kPatience);
  ASSERT_TRUE(client.Until([&] { return client.goaways().size() == 2; }));
  EXPECT_EQ(client.goaways()[0].last_stream, kAllStreams);
  EXPECT_EQ(client.goaways()[1].last_stream, stream);
  EXPECT_EQ(client.goaways()[1].error, NGHTTP2_NO_ERROR);
  FinishStream(client, stream, *probe);
  EXPECT_TRUE(client.UntilClosed());
  client.Close();
  EXPECT_TRUE(drained.get());
}

TEST_F(Http2Lifetime, WhatCrossesTheNoticeIsServed) {
  Begin();
  Http2TestClient client(port_, {.answers_pings = false});
  auto [stream, probe] = Open(client);
  auto drained = DrainMeanwhile(kPatience);
  ASSERT_TRUE(client.Until(
      [&] { return !client.frame_types().empty() && client.frame_types().back() == NGHTTP2_PING; }));  // asks for a sign, behind the notice
  ASSERT_EQ(client.goaways().size(), 1u);
  EXPECT_EQ(std::ranges::count(client.frame_types(), NGHTTP2_PING), 1);
  std::int32_t crossing = stream + 2;
  std::string head = std::string("\x83\x86\x84") + '\x01' + '\x01' + 'h';  // POST http / of host "h"
  client.SendRaw(FrameBytes(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, crossing, head));
  auto crossed = Next();
  ASSERT_TRUE(crossed);
  EXPECT_TRUE(crossed->Await([](const auto& seen) { return seen.end_count == 1; }));
  // The notice's ping stays unanswered: the last GOAWAY comes all the same.
  ASSERT_TRUE(client.Until([&] { return client.goaways().size() == 2; }));
  EXPECT_EQ(client.goaways()[1].last_stream, crossing);
  client.Close();
  EXPECT_TRUE(drained.get());
}

TEST_F(Http2Lifetime, AStreamThatNeverEndsIsCutAtTheDeadline) {
  Begin();
  Http2TestClient client(port_);
  auto [stream, probe] = Open(client);
  auto drained = DrainMeanwhile(Millis(100));
  EXPECT_TRUE(client.UntilClosed());
  EXPECT_EQ(client.goaways().size(), 2u);
  EXPECT_FALSE(client.answer(stream).ended);
  EXPECT_TRUE(probe->Await(Closed));
  EXPECT_FALSE(drained.get());
}

TEST_F(Http2Lifetime, IdleConnectionsDrainAtOnce) {
  Begin();
  Http2TestClient client(port_), silent(port_);
  ASSERT_TRUE(client.Settle());
  auto drained = DrainMeanwhile(kPatience);
  ASSERT_TRUE(client.Until([&] { return !client.goaways().empty(); }));  // with nothing under way, clients leave now
  client.Close();
  silent.Close();
  EXPECT_TRUE(drained.get());
}

// ---------------------------------------------------------------- silence

TEST_F(Http2Lifetime, AConnectionThatSaysNothingIsClosed) {
  Http2Options options = Calm();
  options.handshake_timeout = Millis(50);
  Begin(options);
  Http2TestClient talking(port_), silent(port_);
  ASSERT_TRUE(talking.Settle());
  while (silent.Receive()) {
  }
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(talking.Settle());
}

TEST_F(Http2Lifetime, ABeginningOfThePrefaceIsNotYetAHandshake) {
  Http2Options options = Calm();
  options.handshake_timeout = Millis(50);
  Begin(options);
  Http2TestClient client(port_);
  client.SendRaw("PRI * HTTP");
  while (client.Receive()) {
  }
  EXPECT_TRUE(client.closed());
}

TEST_F(Http2Lifetime, AClientThatIsNoLongerAliveIsCut) {
  Http2Options options = Calm();
  options.ping_after = Millis(50);
  options.ping_timeout = Millis(50);
  Begin(options);
  Http2TestClient alive(port_), dead(port_, {.answers_pings = false}), idle(port_, {.answers_pings = false});
  ASSERT_TRUE(idle.Settle());
  auto [alive_stream, alive_probe] = Open(alive);
  auto [dead_stream, dead_probe] = Open(dead);
  std::thread answering([&] { alive.UntilEnded(alive_stream); });
  EXPECT_TRUE(dead.UntilClosed());
  EXPECT_TRUE(dead_probe->Await(Closed));
  // It lives on for as many pings as the other did not answer, and more.
  SteadyTime later = std::chrono::steady_clock::now() + Millis(400);
  EXPECT_TRUE(alive_probe->Await([&](const auto&) { return std::chrono::steady_clock::now() > later; }));
  EXPECT_TRUE(alive_probe->Do([](Http2Stream& answer) { Answer200(answer, true); }));
  answering.join();
  EXPECT_TRUE(alive.answer(alive_stream).ended);
  EXPECT_TRUE(idle.Settle());  // without streams nobody asks
}

TEST_F(Http2Lifetime, AnIdleClientIsAskedTooWhenSaid) {
  Http2Options options = Calm();
  options.ping_after = Millis(50);
  options.ping_timeout = Millis(50);
  options.ping_without_streams = true;
  Begin(options);
  Http2TestClient dead(port_, {.answers_pings = false});
  EXPECT_TRUE(dead.UntilClosed());
}

TEST_F(Http2Lifetime, AClientThatTakesNothingFromItsSocketIsCut) {
  Http2Options options = Calm();
  options.write_timeout = Millis(50);
  Begin(options);
  Http2TestClient client(port_, {.window_bytes = 1 << 30, .socket_buffer_bytes = 4096});
  auto [stream, probe] = Open(client);
  auto data = std::make_shared<const std::string>(64 << 20, 'x');  // more than the kernel keeps
  probe->Do([&](Http2Stream& answer) {
    Answer200(answer);
    answer.Write({data, *data});
  });
  EXPECT_TRUE(probe->Await(Closed));
  EXPECT_LT(probe->seen().sent_bytes, data->size());
  EXPECT_TRUE(client.UntilClosed());
  ExpectUp();
}

TEST_F(Http2Lifetime, AClientThatTakesNothingAndAsksForMuchIsCut) {
  Http2Options options = Calm();
  options.streams_max = 2;
  Begin(options);
  Http2TestClient client(port_, {.window_bytes = 1 << 30, .socket_buffer_bytes = 4096});
  auto [stream, probe] = Open(client);
  auto data = std::make_shared<const std::string>(64 << 20, 'x');
  probe->Do([&](Http2Stream& answer) {
    Answer200(answer);
    answer.Write({data, *data});
  });
  Open(client);
  std::string head = std::string("\x83\x86\x84") + '\x01' + '\x01' + 'h';
  // Each is refused; nghttp2 has not seen the client acknowledge the bound, and so no fault.
  for (std::int32_t other = stream + 4; other < 60'000; other += 2)
    client.SendRaw(FrameBytes(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, other, head));
  EXPECT_TRUE(probe->Await(Closed));
}

TEST_F(Http2Lifetime, AClientThatIsSentAwayMayNotTalkOnForLong) {
  Begin();
  Http2TestClient client(port_);
  ASSERT_TRUE(client.Settle());
  std::string nonsense(1 << 20, '\xff');
  int said = 0;
  while (said < 100 && client.SendRaw(nonsense)) ++said;
  EXPECT_LT(said, 50);  // the kernels keep some, too
}

// ---------------------------------------------------------------- TLS

class Http2OverTls : public Http2Lifetime {
 protected:
  Http2OverTls() {
    std::filesystem::create_directory(folder_);
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  }
  ~Http2OverTls() override { std::filesystem::remove_all(folder_); }

  Http2Options WithTls() {
    Http2Options options = Calm();
    options.certificate_file = folder_ / "certificate.pem";
    options.key_file = folder_ / "key.pem";
    std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)> key(::EVP_EC_gen("P-256"), ::EVP_PKEY_free);
    std::unique_ptr<X509, decltype(&::X509_free)> certificate(::X509_new(), ::X509_free);
    ::X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    ::X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    ::X509_set_pubkey(certificate.get(), key.get());
    ::X509_sign(certificate.get(), key.get(), ::EVP_sha256());
    Save(options.key_file, [&](FILE* file) { ::PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
    Save(options.certificate_file, [&](FILE* file) { ::PEM_write_X509(file, certificate.get()); });
    return options;
  }

 private:
  template <class Write>
  static void Save(const std::string& path, Write write) {
    std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "w"), std::fclose);
    ASSERT_TRUE(file) << path;
    write(file.get());
  }

  const std::filesystem::path folder_ = std::filesystem::temp_directory_path() / fmt::format("http2_over_tls.{}", ::getpid());
};

TEST_F(Http2OverTls, EchoesWhatIsLargerThanTheWindows) {
  Begin(WithTls());
  Http2TestClient client(port_, {.frame_bytes = 1 << 20, .tls = true});
  ASSERT_TRUE(client.Settle());
  std::string body = Pattern(3 << 20);
  std::int32_t echo = client.Post("/echo", body), room = client.Post("/room", body);
  ASSERT_TRUE(client.UntilEnded(echo));
  EXPECT_TRUE(client.answer(echo).data == body);
  ASSERT_TRUE(client.Until([&] { return client.answer(room).sent_bytes == body.size(); }));
  Next();
  auto probe = Next();
  ASSERT_TRUE(probe->Await([](const auto& seen) { return seen.end_count == 1; }));
  EXPECT_TRUE(probe->seen().data == body);
  EXPECT_GT(probe->seen().in_room_count, 0u);
}

TEST_F(Http2OverTls, AConnectionThatDoesNotBeginTheHandshakeIsClosed) {
  Http2Options options = WithTls();
  options.handshake_timeout = Millis(50);
  Begin(options);
  Http2TestClient silent(port_);
  while (silent.Receive()) {
  }
  EXPECT_TRUE(silent.closed());
}

TEST_F(Http2OverTls, DrainingEndsAConnectionInItsHandshake) {
  Begin(WithTls());
  Http2TestClient in_handshake(port_), client(port_, {.tls = true});
  auto [stream, probe] = Open(client);
  auto drained = DrainMeanwhile(Millis(100));
  EXPECT_FALSE(drained.get());
  EXPECT_TRUE(probe->Await(Closed));
}

}  // namespace
}  // namespace nereid::net

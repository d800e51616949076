// The admin endpoints through the route table, over an exchange that is only memory.
#include "http/admin/admin_api.h"

#include <gtest/gtest.h>

#include "net/spawn.h"

namespace nereid::http {
namespace {

class MemoryExchange final : public net::Exchange {
 public:
  MemoryExchange(net::Executor executor, net::Method method, std::string path, std::string body)
      : executor_(executor), method_(method), path_(std::move(path)), body_(std::move(body)) {}

  net::Method method() const override { return method_; }
  std::string_view method_text() const override { return "X"; }
  std::string_view path() const override { return std::string_view(path_).substr(0, path_.find('?')); }
  std::string_view query() const override {
    std::size_t mark = path_.find('?');
    return mark == std::string::npos ? std::string_view() : std::string_view(path_).substr(mark + 1);
  }
  std::optional<std::string_view> Header(std::string_view) const override { return std::nullopt; }
  std::span<const net::HeaderField> headers() const override { return {}; }
  std::optional<std::uint64_t> content_length() const override { return body_.size(); }
  SteadyTime arrival() const override { return arrival_; }
  std::string peer_address() const override { return ""; }
  net::Executor executor() const override { return executor_; }
  const Cancellation& cancellation() const override { return cancellation_; }
  using Exchange::ReadBody;
  net::Task<net::Body> ReadBody(std::uint64_t limit, net::BodyTail) override {
    if (body_.size() > limit) co_return Error(Code::kTooLarge, "the body is too large", "body_too_large");
    co_return net::Body{nullptr, body_.data(), body_.size()};
  }
  net::Task<Nothing> Respond(net::ResponseHead head_out, std::span<const std::string_view> pieces) override {
    head = std::move(head_out);
    for (std::string_view piece : pieces) answer += piece;
    started_ = true;
    co_return Nothing{};
  }
  void Start(net::ResponseHead, std::optional<std::uint64_t>) override {}
  net::Task<Nothing> Write(std::string_view) override { co_return Nothing{}; }
  net::Task<Nothing> Finish() override { co_return Nothing{}; }
  bool started() const override { return started_; }
  bool finished() const override { return started_; }
  void Abort() override {}

  net::ResponseHead head;
  std::string answer;

 private:
  net::Executor executor_;
  net::Method method_;
  std::string path_, body_;
  SteadyTime arrival_ = SystemClock().Steady();
  Cancellation cancellation_;
  bool started_ = false;
};

class Fakes final : public KeyAdmin, public Reports {
 public:
  net::Task<CreatedKey> Create(const Principal&, KeySpec spec) override {
    if (spec.scopes == std::vector<std::string>{"bad"})
      co_return Error(Code::kInvalidArgument, "scopes: 'bad' is unknown", "invalid_scopes");
    co_return CreatedKey{{"key_a", spec.name, spec.scopes, {}, {}}, "nrd-secret"};
  }
  net::Task<std::vector<KeyRecord>> List() override { co_return std::vector<KeyRecord>{{"key_a", "n", {"chat"}, {}, {}}}; }
  net::Task<KeyRecord> Get(std::string id) override {
    if (id != "key_a") co_return Error(Code::kNotFound, "There is no such key", "key_not_found");
    co_return KeyRecord{"key_a", "n", {"chat"}, {}, {}};
  }
  net::Task<Nothing> Delete(std::string id) override {
    if (id == "key_last") co_return Error(Code::kConflict, "last", "last_admin_key");
    co_return Nothing{};
  }
  net::Task<UsageReport> Usage(UsageFilter filter) override { co_return UsageReport{.period_hours = filter.hours}; }
};

class AdminApiTest : public ::testing::Test {
 protected:
  AdminApiTest() { api_.Register(routes_); }
  struct Answer {
    int status;
    std::string body, response_time, request_id;
  };
  Answer Call(net::Method method, std::string path, std::string body = "") {
    net::asio::io_context context(1);
    MemoryExchange exchange(context.get_executor(), method, std::move(path), std::move(body));
    net::Spawn(context.get_executor(), routes_.Serve(exchange), [](Result<Nothing>) {});
    context.run();
    Answer answer{exchange.head.status, exchange.answer, "", ""};
    std::istringstream lines(exchange.head.headers.text());
    for (std::string line; std::getline(lines, line);) {
      std::string name = line.substr(0, line.find(": ")), value = line.substr(line.find(": ") + 2, line.find('\r') - name.size() - 2);
      if (name == "X-Response-Time") answer.response_time = value;
      if (name == "x-request-id") answer.request_id = value;
    }
    return answer;
  }

  Fakes fakes_;
  Result<Principal> who_ = Principal{.scopes = static_cast<std::uint32_t>(Scope::kAdmin)};
  AdminApi api_{fakes_, fakes_, [this](const net::Exchange&) { return who_; }};
  Routes routes_;
};

TEST_F(AdminApiTest, EveryAnswerHasItsTimeAndId) {
  for (const Answer& answer : {Call(net::Method::kGet, "/v1/admin/keys"), Call(net::Method::kGet, "/v1/admin/keys/none"),
                               Call(net::Method::kDelete, "/v1/admin/keys/key_a")}) {
    EXPECT_FALSE(answer.response_time.empty());
    EXPECT_EQ(answer.response_time.find_first_not_of("0123456789."), std::string::npos);
    EXPECT_EQ(answer.request_id.size(), 36u);
  }
}

TEST_F(AdminApiTest, TheSecretIsShownAtCreationOnly) {
  Answer created = Call(net::Method::kPost, "/v1/admin/keys", R"({"name":"n","scopes":["chat"]})");
  EXPECT_EQ(created.status, 201);
  EXPECT_NE(created.body.find(R"("key":"nrd-secret")"), std::string::npos);
  EXPECT_EQ(Call(net::Method::kGet, "/v1/admin/keys").body.find("nrd-"), std::string::npos);
  EXPECT_EQ(Call(net::Method::kGet, "/v1/admin/keys/key_a").body.find("nrd-"), std::string::npos);
}

TEST_F(AdminApiTest, ErrorsAreOpenAiShapedAndNameTheParameter) {
  Answer bad = Call(net::Method::kPost, "/v1/admin/keys", R"({"name":"n","scopes":["bad"]})");
  EXPECT_EQ(bad.status, 400);
  EXPECT_TRUE(bad.body.starts_with(R"({"error":{"message":"scopes: 'bad' is unknown","type":"invalid_request_error","param":"scopes")"))
      << bad.body;
  EXPECT_EQ(Call(net::Method::kPost, "/v1/admin/keys", std::string(70'000, ' ')).status, 413);
  EXPECT_EQ(Call(net::Method::kGet, "/v1/admin/keys/none").status, 404);
  EXPECT_EQ(Call(net::Method::kDelete, "/v1/admin/keys/key_last").status, 409);
  EXPECT_EQ(Call(net::Method::kGet, "/v1/admin/usage?hours=x").status, 400);
}

TEST_F(AdminApiTest, ADeletedKeyIs204WithoutABody) {
  Answer answer = Call(net::Method::kDelete, "/v1/admin/keys/key_a");
  EXPECT_EQ(answer.status, 204);
  EXPECT_TRUE(answer.body.empty());
}

TEST_F(AdminApiTest, OnlyAdministratorsComeIn) {
  who_ = Principal{.scopes = static_cast<std::uint32_t>(Scope::kChat)};
  EXPECT_EQ(Call(net::Method::kGet, "/v1/admin/usage").status, 403);
  who_ = Error(Code::kUnauthenticated, "Invalid API key format", "invalid_api_key_format");
  Answer answer = Call(net::Method::kPost, "/v1/admin/keys", "{");
  EXPECT_EQ(answer.status, 401);
  EXPECT_NE(answer.body.find("Invalid API key format"), std::string::npos);
}

}  // namespace
}  // namespace nereid::http

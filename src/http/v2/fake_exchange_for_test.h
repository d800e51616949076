// An exchange without a connection: a request made of text, and what was answered. Everything ends at once.
#pragma once

#include <map>

#include "net/exchange.h"
#include "net/http_head.h"

namespace nereid::http {

class FakeExchange final : public net::Exchange {
 public:
  FakeExchange(net::Executor executor, net::Method method, std::string path, std::string body = {})
      : executor_(executor), method_(method), path_(std::move(path)), body_(std::make_shared<std::string>(std::move(body))) {}

  void AddHeader(std::string_view name, std::string_view value) { headers_.push_back({name, value}); }

  net::ResponseHead answered;
  std::string text;  // of the answer
  int writes = 0;

  std::string_view Sent(std::string_view name) const {
    std::string_view lines = answered.headers.text();
    while (!lines.empty()) {
      std::size_t end = lines.find("\r\n"), colon = lines.find(": ");
      if (net::EqualsIgnoreCase(lines.substr(0, colon), name)) return lines.substr(colon + 2, end - colon - 2);
      lines.remove_prefix(end + 2);
    }
    return {};
  }

  net::Method method() const override { return method_; }
  std::string_view method_text() const override { return "METHOD"; }
  std::string_view path() const override { return path_; }
  std::string_view query() const override { return {}; }
  std::optional<std::string_view> Header(std::string_view name) const override { return net::FindHeader(headers_, name); }
  std::span<const net::HeaderField> headers() const override { return headers_; }
  std::optional<std::uint64_t> content_length() const override { return body_->size(); }
  SteadyTime arrival() const override { return {}; }
  std::string peer_address() const override { return "test"; }
  net::Executor executor() const override { return executor_; }
  const Cancellation& cancellation() const override { return cancellation_; }

  using Exchange::ReadBody;
  net::Task<net::Body> ReadBody(std::uint64_t limit, net::BodyTail) override {
    if (body_->size() > limit) co_return Error(Code::kTooLarge, "the body is too large", "body_too_large");
    co_return net::Body{body_, body_->data(), body_->size()};
  }
  using Exchange::Respond;
  net::Task<Nothing> Respond(net::ResponseHead head, std::span<const std::string_view> pieces) override {
    answered = std::move(head);
    for (std::string_view piece : pieces) text += piece;
    started_ = finished_ = true;
    co_return Nothing{};
  }
  void Start(net::ResponseHead head, std::optional<std::uint64_t>) override {
    answered = std::move(head);
    started_ = true;
  }
  net::Task<Nothing> Write(std::string_view bytes) override {
    ++writes;
    text += bytes;
    co_return Nothing{};
  }
  net::Task<Nothing> Finish() override {
    finished_ = true;
    co_return Nothing{};
  }
  bool started() const override { return started_; }
  bool finished() const override { return finished_; }
  void Abort() override {}

 private:
  const net::Executor executor_;
  const net::Method method_;
  const std::string path_;
  const std::shared_ptr<std::string> body_;
  std::vector<net::HeaderField> headers_;
  Cancellation cancellation_;
  bool started_ = false, finished_ = false;
};

}  // namespace nereid::http

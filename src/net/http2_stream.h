// A stream of an HTTP/2 connection: the head of its request, and what waits to be sent of the answer.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "net/http2_connection.h"

namespace nereid::net {

class Http2Connection::OneStream final : public Http2Stream {
 public:
  OneStream(Http2Connection& connection, std::int32_t number) : connection_(connection), number_(number) {}

  std::span<const HeaderField> headers() const override { return headers_; }
  void Respond(std::span<const HeaderField> head, bool ends) override;
  void Write(Piece piece) override;
  void End(std::span<const HeaderField> trailers) override;
  void Consume(std::size_t bytes) override;

  // ---- the connection's side

  bool AddHeader(std::string_view name, std::string_view value);
  void HeadIsWhole();
  // How much of the data can go now, at most `most`; nothing: none until more is written.
  std::optional<std::size_t> Offer(std::size_t most, bool& last);
  void MoveTo(OutQueue& out, std::size_t bytes, bool copy);

  Http2Connection& connection_;
  const std::int32_t number_;
  std::list<OneStream>::iterator place_;
  std::shared_ptr<Http2Receiver> receiver_;
  std::size_t unconsumed_ = 0;
  bool request_ended_ = false;

 private:
  std::string text_;
  std::vector<std::size_t> ends_;  // of names and values in text_
  std::vector<HeaderField> headers_;

  bool SubmitTrailers();

  bool responded_ = false, ended_ = false, data_moved_ = false, trailers_submitted_ = false;
  std::deque<Piece> data_;
  std::size_t data_bytes_ = 0;
  std::string trailer_text_;
  std::vector<HeaderField> trailers_;  // views into trailer_text_
};

}  // namespace nereid::net

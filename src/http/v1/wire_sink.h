// Writes the events of an answer to the client in the OpenAI dialect.
#pragma once

#include <memory>
#include <string>

#include "api/request.h"
#include "api/response.h"
#include "net/exchange.h"
#include "protocol/openai/render.h"

namespace nereid::http {

class WireSink final : public ResponseSink {
 public:
  // Both outlive the sink.
  WireSink(net::Exchange& exchange, const Request& request) : exchange_(exchange), request_(request) {}

  net::Task<Nothing> Write(const ResponseEvent& event) override;
  bool started() const override { return exchange_.started(); }

  // After the engine is done: the proper end of a stream.
  net::Task<Nothing> Close();
  // Tells a stream that broke: an error event and no [DONE].
  net::Task<Nothing> Break(const Status& failure);

 private:
  net::Task<Nothing> WritePart(const ResponseEvent& event);
  void Begin();
  net::ResponseHead Head(const Started& started) const;

  net::Exchange& exchange_;
  const Request& request_;
  Started started_;                     // held until the first bytes
  bool begun_ = false, whole_ = false;  // whole_: the answer left in one piece
  std::unique_ptr<openai::Renderer> renderer_;
};

}  // namespace nereid::http

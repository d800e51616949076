// gRPC's own bytes on an HTTP/2 stream: the prefix of messages, timeouts, status texts. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/tensor.h"
#include "base/clock.h"
#include "net/body.h"
#include "net/http2_server.h"

namespace nereid::grpc_front {

// Whether a message is compressed, and its length.
inline constexpr std::size_t kPrefixBytes = 5;
inline constexpr std::size_t kMessageBytesMax = std::numeric_limits<std::int32_t>::max();
inline constexpr std::size_t kStatusTextMax = 4096;  // clients refuse heads and trailers of more than 8 KiB

// A message on its way out, its prefix first.
struct Message {
  std::vector<net::Piece> pieces;

  std::size_t size() const;
};
void WritePrefix(char* to, bool compressed, std::size_t length);
// `text` begins with room for the prefix.
Message WholeMessage(std::string text);
// The message with its content compressed, or as it is when that makes it no shorter.
Message Compressed(Message message, net::Encoding encoding);

// A message that has come.
struct Received {
  // A part that lies elsewhere, and where in `bytes` it belongs.
  struct Apart {
    std::size_t at = 0;
    Bytes bytes;
  };

  Received(Bytes whole) : bytes(std::move(whole)) {}

  Bytes bytes;               // without those
  std::vector<Apart> apart;  // in their order
};

// Finds the parts of a message that are best received elsewhere.
class Splitter {
 public:
  struct Part {
    std::size_t at = 0, bytes = 0;  // `at`: in what has come, without earlier parts
    std::shared_ptr<char> memory;
  };
  enum class Found : std::uint8_t { kMore, kPart, kNothing };  // kMore: nothing yet; kNothing: nor in what is to come

  virtual ~Splitter() = default;
  // A message of so many bytes begins. False: there is nothing to find in it.
  virtual bool Begin(std::size_t length) = 0;
  // `head`: its first bytes, without earlier parts. So many of it `came` altogether, perhaps more than `head` shows.
  virtual Found Look(std::string_view head, std::size_t came, Part& part) = 0;
};

// Puts messages together again, whatever pieces they come in.
class MessageReader {
 public:
  // `encoding`: of messages that say they are compressed. `budget` bounds what all readers and their messages hold. `splitter` may be
  // null, and outlives the reader; compressed messages are not split.
  MessageReader(std::shared_ptr<net::ByteBudget> budget, net::Encoding encoding, Splitter* splitter = nullptr)
      : budget_(std::move(budget)), encoding_(encoding), splitter_(splitter) {}

  // Where the rest of the message under way may be put before it is given to Next; empty when there is none.
  std::span<char> Room();
  // Takes from `bytes` until a message is whole. Its end lies at a multiple of 64 bytes in memory, and with it mostly the tensor that ends
  // it. Nothing: all bytes are taken. After an error the rest of the stream makes no sense.
  Result<std::optional<Received>> Next(std::string_view& bytes);
  // A message has begun and not ended.
  bool midway() const { return prefix_bytes_ > 0; }

 private:
  Result<Nothing> Begin(std::size_t here);
  Result<Nothing> ReserveFor(std::size_t bytes);  // of the message, that have come
  Result<Nothing> Add(std::string_view& bytes);
  void AddToPart(std::string_view bytes);
  void Split(std::size_t came);
  Result<Received> Finish();

  const std::shared_ptr<net::ByteBudget> budget_;
  const net::Encoding encoding_;
  Splitter* const splitter_;
  unsigned char prefix_[kPrefixBytes] = {};
  std::size_t prefix_bytes_ = 0, length_ = 0, came_ = 0;
  std::optional<net::BodyBuffer> body_;  // once the prefix is whole
  bool splitting_ = false;
  Splitter::Part part_;  // under way, if it has memory
  std::size_t part_filled_ = 0;
  std::vector<Received::Apart> apart_;
  std::vector<net::BudgetShare> shares_;  // for those, until the message is whole
};

// Of grpc-timeout: "100m"; nothing for what is no timeout.
std::optional<Nanos> ParseTimeout(std::string_view text);
// Of grpc-encoding. Nothing: we do not know it.
std::optional<net::Encoding> ParseEncoding(std::string_view name);
// For grpc-message: what is not printable ASCII as %XX. Not much longer than kStatusTextMax: a longer text is cut and says so.
std::string PercentEncode(std::string_view text);

}  // namespace nereid::grpc_front

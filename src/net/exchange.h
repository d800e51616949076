// One HTTP request and its answer, as handlers see it. The connection behind it may speak HTTP/1.1 now and HTTP/2 later.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "net/task.h"

namespace nereid::net {

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kDelete, kOptions, kPatch, kOther };

// std::regex recurses for each character: a longer name is not asked for a pattern.
inline constexpr std::size_t kMatchedNameMax = 1024;

struct HeaderField {
  std::string_view name, value;
};

// A whole body, mostly contiguous: 64-byte aligned at its start, with at least 64 readable bytes past its end (simdjson's padding).
// Copies share the memory.
struct Body {
  std::shared_ptr<const void> owner;
  const char* data = nullptr;
  std::size_t size = 0;
  std::string_view view() const { return {data, size}; }
  // The bytes behind those, when they lie in memory of BodyTail's. 64-aligned.
  std::shared_ptr<char> tail;
  std::size_t tail_size = 0;
};

// What is known of a body before it is read.
struct BodyTail {
  std::size_t at = 0;  // this byte is to be 64-aligned
  // Where the bytes from there on are best received to; null: where the others are. Asked only when they are many. May be empty.
  std::function<std::shared_ptr<char>(std::size_t bytes)> allocate;
};

// Header lines as they leave: "Name: value" CR LF each.
class HeaderLines {
 public:
  HeaderLines() = default;
  HeaderLines(std::initializer_list<HeaderField> fields) {
    for (const HeaderField& field : fields) Add(field.name, field.value);
  }
  // Neither may hold CR or LF.
  void Add(std::string_view name, std::string_view value) {
    if (text_.empty()) text_.reserve(192);
    text_.append(name).append(": ").append(value).append("\r\n");
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

struct ResponseHead {
  int status = 200;
  std::string content_type;  // empty: no Content-Type
  HeaderLines headers;       // others; Content-Length, Transfer-Encoding, Connection and Date are the connection's
};

// The handler owns the exchange for the length of its task. All members on the connection's io thread only.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // ---- the request's head; views live as long as the exchange
  virtual Method method() const = 0;
  virtual std::string_view method_text() const = 0;
  virtual std::string_view path() const = 0;                                        // as sent, without the query; percent signs not decoded
  virtual std::string_view query() const = 0;                                       // without '?'
  virtual std::optional<std::string_view> Header(std::string_view name) const = 0;  // first of that name, case does not matter
  virtual std::span<const HeaderField> headers() const = 0;
  virtual std::optional<std::uint64_t> content_length() const = 0;  // as sent; nothing when chunked
  virtual SteadyTime arrival() const = 0;                           // when the head was complete
  virtual std::string peer_address() const = 0;
  virtual Executor executor() const = 0;
  // Cancelled when the client goes away before the answer is out. The handler's own waits are cancelled too.
  virtual const Cancellation& cancellation() const = 0;

  // ---- the request's body, at most once. Sends 100 Continue if the client waits for it.
  // kTooLarge past `limit` bytes (counted after decoding); gzip and deflate are decoded (Content-Encoding exact, lower case);
  // kUnsupported with reason "content_encoding" for others.
  virtual Task<Body> ReadBody(std::uint64_t limit, BodyTail tail) = 0;
  Task<Body> ReadBody(std::uint64_t limit) { return ReadBody(limit, BodyTail{}); }

  // ---- the answer: exactly one of Respond, or Start, Write..., Finish. A HEAD request gets the head only.
  // Head and body leave in one write. `pieces` need to live until the task ends.
  virtual Task<Nothing> Respond(ResponseHead head, std::span<const std::string_view> pieces) = 0;
  Task<Nothing> Respond(ResponseHead head, std::string_view body) {
    std::string_view pieces[] = {body};
    co_return co_await Respond(std::move(head), std::span<const std::string_view>(pieces));
  }
  // The head is held back and leaves with the first Write or Finish. With a content_length the body is sent as it is, else chunked.
  virtual void Start(ResponseHead head, std::optional<std::uint64_t> content_length = std::nullopt) = 0;
  // Returns when the kernel took the bytes: this is the back-pressure. One write is one chunk.
  virtual Task<Nothing> Write(std::string_view bytes) = 0;
  virtual Task<Nothing> Finish() = 0;
  // Something of the answer may have left: no other status can be sent.
  virtual bool started() const = 0;
  // The answer is whole: nothing can be added.
  virtual bool finished() const = 0;
  // Ends the connection without a proper end of the body, so that the client sees that it was cut.
  virtual void Abort() = 0;
};

// Runs on the connection's io thread. An error means that the answer could not be finished; the connection is closed.
// A handler that returns without an answer is a 500.
using Handler = std::function<Task<Nothing>(Exchange&)>;

}  // namespace nereid::net

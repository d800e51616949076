// gRPC's messages in any pieces, and what they hold read as ModelInferRequest. A tensor that is accepted lies inside its own memory.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "grpc/framing.h"
#include "grpc/infer_request.h"
#include "grpc/tensor_splitter.h"

namespace {

using namespace nereid;
using namespace nereid::grpc_front;

constexpr std::size_t kHeadBytes = 5, kBudgetBytes = 8 << 20;
constexpr std::size_t kFrameHeadBytes = 9;  // HTTP/2's
constexpr std::uint8_t kIntoRoom = 0x80, kBehindAFrameHead = 0x40;

void Check(bool holds) {
  if (!holds) std::abort();
}

void CheckTensor(const Tensor& tensor, const Received& message) {
  std::string_view bytes = tensor.data.view();
  if (bytes.empty()) return;
  std::size_t element = ElementBytes(tensor.datatype);
  Check(element == 0 || reinterpret_cast<std::uintptr_t>(bytes.data()) % element == 0);
  auto inside = [&](const Bytes& whole) {
    return tensor.data.owner() == whole.owner() && bytes.data() >= whole.data() &&
           bytes.data() + bytes.size() <= whole.data() + whole.size();
  };
  if (tensor.data.owner() == message.bytes.owner()) return Check(inside(message.bytes));
  for (const Received::Apart& apart : message.apart) {
    if (tensor.data.owner() == apart.bytes.owner()) return Check(inside(apart.bytes));
  }
  // A copy of its own: the sanitizer knows where that ends.
  Check(tensor.data.owner() != nullptr);
  std::string copy(bytes);
  Check(copy == bytes);
  Check(tensor.datatype != Datatype::kBytes || SplitBytes(bytes));
}

void ReadRequest(const Received& message) {
  RequestReader reader;
  if (!reader.Open(message) || !reader.Model()) return;
  auto parsed = reader.Take();
  if (!parsed) return;
  Check(parsed->request.model.name == reader.model_name() && parsed->request.client_id == reader.client_id());
  for (const Tensor& tensor : parsed->request.inputs) CheckTensor(tensor, message);
}

// False: it makes no sense.
bool ReadAll(MessageReader& reader, std::string_view bytes) {
  for (;;) {
    auto message = reader.Next(bytes);
    if (!message) return false;
    if (!*message) break;
    ReadRequest(**message);
  }
  Check(bytes.empty());
  return true;
}

// As the connection gives them: where they were received, or in the reader's room, perhaps behind the head of another frame.
bool Give(MessageReader& reader, std::uint8_t how, std::string_view& bytes) {
  std::size_t size = how & 0x3f;
  std::size_t part = size == 0 ? bytes.size() : std::min(size, bytes.size());
  if (std::span<char> room = reader.Room(); (how & kIntoRoom) && !room.empty()) {
    std::size_t skip = (how & kBehindAFrameHead) ? std::min(kFrameHeadBytes, room.size() - 1) : 0;
    part = std::min(part, room.size() - skip);
    std::memset(room.data(), 0xa5, skip);
    std::memcpy(room.data() + skip, bytes.data(), part);
    bytes.remove_prefix(part);
    return ReadAll(reader, {room.data() + skip, part});
  }
  std::string elsewhere(bytes.substr(0, part));  // of exactly this size
  bytes.remove_prefix(part);
  return ReadAll(reader, elsewhere);
}

void ReadMessages(const std::uint8_t* head, std::string_view bytes) {
  constexpr net::Encoding kEncodings[] = {net::Encoding::kIdentity, net::Encoding::kGzip, net::Encoding::kDeflate};
  auto budget = std::make_shared<net::ByteBudget>(kBudgetBytes);
  {
    // Also parts that are received apart, of any size: some of them find no memory.
    int lent = head[0] / 3 % 4;
    TensorSplitter splitter(
        [&](const std::string&, const std::string&, std::size_t size) {
          return lent-- > 0 ? std::shared_ptr<char>(new char[size], std::default_delete<char[]>()) : nullptr;
        },
        head[0] & 0x40 ? 1 : 100);
    MessageReader reader(budget, kEncodings[head[0] % 3], head[0] & 0x80 ? &splitter : nullptr);
    for (std::size_t i = 0; !bytes.empty() && Give(reader, head[1 + i % (kHeadBytes - 1)], bytes); ++i) {
    }
  }
  Check(budget->Take(kBudgetBytes));  // all has come back
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    Check(text[i] >= ' ' && text[i] <= '~');
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    Check(i + 2 < text.size());
    out += static_cast<char>(std::strtoul(std::string(text.substr(i + 1, 2)).c_str(), nullptr, 16));
    i += 2;
  }
  return out;
}

}  // namespace

// The input: how compressed messages are, in one byte; how the pieces come, in four that are used in turn; the messages.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view all(reinterpret_cast<const char*>(data), size);
  if (auto timeout = ParseTimeout(all)) Check(*timeout >= Nanos(0));
  std::string_view text = all.substr(0, kStatusTextMax / 3);
  Check(PercentDecode(PercentEncode(text)) == text);
  if (size > kHeadBytes) ReadMessages(data, all.substr(kHeadBytes));
  return 0;
}

#include "api/tensor.h"

#include <array>
#include <cstring>

#include <fmt/ranges.h>

namespace nereid {
namespace {

struct Row {
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<Row, 15> kRows = {{{"<invalid>", 0},
                                        {"BOOL", 1},
                                        {"UINT8", 1},
                                        {"UINT16", 2},
                                        {"UINT32", 4},
                                        {"UINT64", 8},
                                        {"INT8", 1},
                                        {"INT16", 2},
                                        {"INT32", 4},
                                        {"INT64", 8},
                                        {"FP16", 2},
                                        {"FP32", 4},
                                        {"FP64", 8},
                                        {"BYTES", 0},
                                        {"BF16", 2}}};
static_assert(kRows.size() == static_cast<std::size_t>(Datatype::kBf16) + 1);

}  // namespace

std::string_view DatatypeName(Datatype datatype) {
  return kRows[static_cast<std::size_t>(datatype)].name;
}

Datatype ParseDatatype(std::string_view name) {
  for (std::size_t i = 1; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<Datatype>(i);
  }
  return Datatype::kInvalid;
}

std::size_t ElementBytes(Datatype datatype) {
  return kRows[static_cast<std::size_t>(datatype)].bytes;
}

std::string ShapeText(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ","));
}

std::optional<std::int64_t> ElementCount(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  bool zero = false;
  for (std::int64_t dim : shape) {
    if (dim < 0) return std::nullopt;
    zero = zero || dim == 0;
    if (dim != 0 && __builtin_mul_overflow(count, dim, &count)) return std::nullopt;
  }
  return zero ? 0 : count;
}

Bytes Bytes::Own(std::string text) {
  auto owner = std::make_shared<const std::string>(std::move(text));
  return Bytes(owner, owner->data(), owner->size());
}

Bytes Bytes::Own(std::vector<char> bytes) {
  auto owner = std::make_shared<const std::vector<char>>(std::move(bytes));
  return Bytes(owner, owner->data(), owner->size());
}

void AppendBytesElement(std::string& wire, std::string_view element) {
  auto length = static_cast<std::uint32_t>(element.size());
  char prefix[4];
  std::memcpy(prefix, &length, 4);
  wire.append(prefix, 4).append(element);
}

Result<std::vector<std::string_view>> SplitBytes(std::string_view wire) {
  std::vector<std::string_view> elements;
  while (!wire.empty()) {
    if (wire.size() < 4)
      return Error(Code::kInvalidArgument, fmt::format("a BYTES tensor ends with {} bytes that are no length prefix", wire.size()),
                   "bad_bytes_tensor");
    std::uint32_t length;
    std::memcpy(&length, wire.data(), 4);
    wire.remove_prefix(4);
    if (length > wire.size())
      return Error(Code::kInvalidArgument,
                   fmt::format("a BYTES element of {} bytes runs past the end of its tensor ({} bytes left)", length, wire.size()),
                   "bad_bytes_tensor");
    elements.push_back(wire.substr(0, length));
    wire.remove_prefix(length);
  }
  return elements;
}

}  // namespace nereid

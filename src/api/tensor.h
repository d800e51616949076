// Tensors as they travel: bytes with an owner, in the wire form of KServe v2 (little endian; BYTES elements with 4-byte length prefixes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace nereid {

// The values and order of Triton's DataType, so that casts to the proto's enum agree except for BYTES = TYPE_STRING.
enum class Datatype : std::uint8_t {
  kInvalid,
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFp16,
  kFp32,
  kFp64,
  kBytes,
  kBf16
};

std::string_view DatatypeName(Datatype datatype);  // "FP32"; "<invalid>"
Datatype ParseDatatype(std::string_view name);     // kInvalid when unknown
std::size_t ElementBytes(Datatype datatype);       // 0 for BYTES and invalid

using Shape = std::vector<std::int64_t>;

std::string ShapeText(std::span<const std::int64_t> shape);  // "[-1,16]"
// Product of the dims; nothing when one is negative or the product does not fit in int64.
std::optional<std::int64_t> ElementCount(std::span<const std::int64_t> shape);

// Bytes and whatever keeps them alive. Copying copies the reference.
class Bytes {
 public:
  Bytes() = default;
  Bytes(std::shared_ptr<const void> owner, const void* data, std::size_t size)
      : owner_(std::move(owner)), data_(static_cast<const char*>(data)), size_(size) {}
  static Bytes Own(std::string text);
  static Bytes Own(std::vector<char> bytes);

  const char* data() const { return data_; }
  std::size_t size() const { return size_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }
  std::string_view view() const { return {data_, size_}; }
  // The same owner, fewer bytes. offset + size must be inside.
  Bytes Slice(std::size_t offset, std::size_t size) const { return Bytes(owner_, data_ + offset, size); }

 private:
  std::shared_ptr<const void> owner_;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

struct Tensor {
  std::string name;
  Datatype datatype = Datatype::kInvalid;
  Shape shape;
  Bytes data;
};

// Appends one BYTES element in wire form.
void AppendBytesElement(std::string& wire, std::string_view element);
// The elements of a BYTES tensor's wire form, as views into it; an error when a length runs past the end.
Result<std::vector<std::string_view>> SplitBytes(std::string_view wire);

using ParameterValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;
using Parameters = std::vector<std::pair<std::string, ParameterValue>>;  // in the order sent

}  // namespace nereid

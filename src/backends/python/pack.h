// Messages between server and worker: the part of MessagePack that they need. The other end is python/nereid_worker/core.c.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nereid::python {

class PackWriter {
 public:
  PackWriter& Nil() { return Tag(0xc0); }
  PackWriter& Bool(bool value) { return Tag(value ? 0xc3 : 0xc2); }
  PackWriter& Int(std::int64_t value);
  PackWriter& Uint(std::uint64_t value);
  PackWriter& Float(double value);
  PackWriter& Text(std::string_view text);
  PackWriter& Binary(std::string_view bytes);
  // `size` values follow.
  PackWriter& Array(std::size_t size);
  // One value that another writer has packed.
  PackWriter& Packed(std::string_view value) {
    bytes_ += value;
    return *this;
  }

  const std::string& bytes() const { return bytes_; }
  void Clear() { bytes_.clear(); }

 private:
  PackWriter& Tag(unsigned char tag) {
    bytes_ += static_cast<char>(tag);
    return *this;
  }
  PackWriter& Number(unsigned char tag, std::uint64_t value, int width);

  std::string bytes_;
};

// Reads what a worker wrote, which may be nonsense: after the first value that is not of the kind asked for, or runs past the end, ok() is
// false for good and every value is zero or empty.
class PackReader {
 public:
  explicit PackReader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  // What was read makes no sense together, so where the next value begins is not known: ok() is false from now on.
  void Refuse() { ok_ = false; }
  // Takes a nil that comes next; else leaves what comes.
  bool TakeNil();
  bool Bool();
  std::int64_t Int();
  std::uint64_t Uint();
  double Float();
  // Text or binary; a view into the bytes read.
  std::string_view Text();
  std::size_t Array();
  // What kind comes next.
  enum class Kind : std::uint8_t { kNil, kBool, kInt, kFloat, kText, kArray, kEnd };
  Kind Next() const;

 private:
  std::uint64_t Number(int width);
  std::string_view Take(std::uint64_t size);
  unsigned char Tag();

  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace nereid::python

#include "backends/python/pack.h"

#include <bit>

namespace nereid::python {

PackWriter& PackWriter::Number(unsigned char tag, std::uint64_t value, int width) {
  Tag(tag);
  for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) bytes_ += static_cast<char>(value >> shift);
  return *this;
}

PackWriter& PackWriter::Int(std::int64_t value) {
  return value >= 0 && value < 128 ? Tag(static_cast<unsigned char>(value)) : Number(0xd3, static_cast<std::uint64_t>(value), 8);
}

PackWriter& PackWriter::Uint(std::uint64_t value) {
  return value < 128 ? Tag(static_cast<unsigned char>(value)) : Number(0xcf, value, 8);
}

PackWriter& PackWriter::Float(double value) {
  return Number(0xcb, std::bit_cast<std::uint64_t>(value), 8);
}

PackWriter& PackWriter::Text(std::string_view text) {
  if (text.size() < 32) Tag(static_cast<unsigned char>(0xa0 | text.size()));
  else Number(0xdb, text.size(), 4);
  bytes_ += text;
  return *this;
}

PackWriter& PackWriter::Binary(std::string_view bytes) {
  Number(0xc6, bytes.size(), 4);
  bytes_ += bytes;
  return *this;
}

PackWriter& PackWriter::Array(std::size_t size) {
  return size < 16 ? Tag(static_cast<unsigned char>(0x90 | size)) : Number(0xdd, size, 4);
}

unsigned char PackReader::Tag() {
  std::string_view tag = Take(1);
  return tag.empty() ? 0xc1 : static_cast<unsigned char>(tag.front());  // 0xc1 is never used
}

std::string_view PackReader::Take(std::uint64_t size) {
  if (!ok_ || bytes_.size() < size) {
    ok_ = false;
    return {};
  }
  std::string_view taken = bytes_.substr(0, size);
  bytes_.remove_prefix(size);
  return taken;
}

std::uint64_t PackReader::Number(int width) {
  std::uint64_t value = 0;
  for (char c : Take(static_cast<std::uint64_t>(width))) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

PackReader::Kind PackReader::Next() const {
  if (!ok_ || bytes_.empty()) return Kind::kEnd;
  auto tag = static_cast<unsigned char>(bytes_.front());
  if (tag < 0x80 || tag >= 0xe0 || tag == 0xcf || tag == 0xd3) return Kind::kInt;
  if (tag >= 0x90 && tag < 0xa0) return Kind::kArray;
  if (tag >= 0xa0 && tag < 0xc0) return Kind::kText;
  switch (tag) {
    case 0xc0: return Kind::kNil;
    case 0xc2:
    case 0xc3: return Kind::kBool;
    case 0xcb: return Kind::kFloat;
    case 0xc6:
    case 0xdb: return Kind::kText;
    case 0xdd: return Kind::kArray;
    default: return Kind::kEnd;
  }
}

bool PackReader::TakeNil() {
  if (Next() != Kind::kNil) return false;
  Tag();
  return true;
}

bool PackReader::Bool() {
  unsigned char tag = Tag();
  if (tag != 0xc2 && tag != 0xc3) ok_ = false;
  return ok_ && tag == 0xc3;
}

std::int64_t PackReader::Int() {
  return static_cast<std::int64_t>(Uint());
}

std::uint64_t PackReader::Uint() {
  unsigned char tag = Tag();
  if (tag < 0x80) return tag;
  if (tag >= 0xe0) return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<signed char>(tag)));
  if (tag == 0xcf || tag == 0xd3) return Number(8);
  ok_ = false;
  return 0;
}

double PackReader::Float() {
  if (Tag() != 0xcb) ok_ = false;
  return std::bit_cast<double>(Number(8));
}

std::string_view PackReader::Text() {
  unsigned char tag = Tag();
  if (tag >= 0xa0 && tag < 0xc0) return Take(tag & 31u);
  if (tag == 0xdb || tag == 0xc6) return Take(Number(4));
  ok_ = false;
  return {};
}

std::size_t PackReader::Array() {
  unsigned char tag = Tag();
  std::uint64_t size = 0;
  if (tag >= 0x90 && tag < 0xa0) size = tag & 15u;
  else if (tag == 0xdd) size = Number(4);
  else ok_ = false;
  if (size > bytes_.size()) ok_ = false;  // each value takes a byte at least
  return ok_ ? size : 0;
}

}  // namespace nereid::python

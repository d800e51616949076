#include "protocol/kserve/tensor_data.h"

#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "codec/json_text.h"

namespace nereid::kserve {
namespace {

std::unexpected<Status> BadJson(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message), "bad_json");
}
std::unexpected<Status> WrongType(std::string_view what, std::string_view as) {
  return BadJson(fmt::format("Unable to parse 'data': attempt to access JSON non-{} as {}", what, as));
}

template <class T>
void Put(std::string& wire, T value) {
  wire.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// One element; integers that do not fit their type are refused (Triton wraps them in silence).
Result<Nothing> ReadElement(json::Reader& reader, Datatype datatype, std::string& wire, std::string& scratch) {
  using Type = json::Reader::Type;
  using Number = json::Reader::Number;
  Type type = reader.Peek();
  std::int64_t i = 0;
  std::uint64_t u = 0;
  double d = 0;
  auto out_of_range = [&](auto value) {
    return BadJson(fmt::format("Unable to parse 'data': {} is out of range for {}", value, DatatypeName(datatype)));
  };
  auto signed_to = [&]<class T>(T) -> Result<Nothing> {
    if (type != Type::kNumber || reader.ReadNumber(i, u, d) != Number::kInt) return WrongType("signed-integer", "signed-integer");
    if (i < std::numeric_limits<T>::min() || i > std::numeric_limits<T>::max()) return out_of_range(i);
    Put(wire, static_cast<T>(i));
    return Nothing{};
  };
  auto unsigned_to = [&]<class T>(T) -> Result<Nothing> {
    Number kind = type == Type::kNumber ? reader.ReadNumber(i, u, d) : Number::kNone;
    if (kind == Number::kInt && i < 0) return WrongType("unsigned-integer", "unsigned-integer");
    if (kind != Number::kInt && kind != Number::kUint) return WrongType("unsigned-integer", "unsigned-integer");
    if (u > std::numeric_limits<T>::max()) return out_of_range(u);
    Put(wire, static_cast<T>(u));
    return Nothing{};
  };
  switch (datatype) {
    case Datatype::kBool: {
      bool value;
      if (type != Type::kBool || !reader.ReadBool(value)) return WrongType("boolean", "boolean");
      wire += static_cast<char>(value);
      return Nothing{};
    }
    case Datatype::kInt8: return signed_to(std::int8_t{});
    case Datatype::kInt16: return signed_to(std::int16_t{});
    case Datatype::kInt32: return signed_to(std::int32_t{});
    case Datatype::kInt64: return signed_to(std::int64_t{});
    case Datatype::kUint8: return unsigned_to(std::uint8_t{});
    case Datatype::kUint16: return unsigned_to(std::uint16_t{});
    case Datatype::kUint32: return unsigned_to(std::uint32_t{});
    case Datatype::kUint64: return unsigned_to(std::uint64_t{});
    case Datatype::kFp32:
    case Datatype::kFp64:
      if (type != Type::kNumber || reader.ReadNumber(i, u, d) == Number::kNone) return WrongType("number", "double");
      if (datatype == Datatype::kFp32) Put(wire, static_cast<float>(d));
      else Put(wire, d);
      return Nothing{};
    case Datatype::kBytes:
      if (type != Type::kString || !reader.ReadString(scratch)) return WrongType("string", "string");
      AppendBytesElement(wire, scratch);
      return Nothing{};
    case Datatype::kFp16:
    case Datatype::kBf16:
    case Datatype::kInvalid: break;
  }
  return Error(Code::kInternal, "a datatype that JSON does not carry");
}

Result<Nothing> ReadNested(json::Reader& reader, Datatype datatype, std::int64_t count, std::int64_t& seen, std::string& wire,
                           std::string& scratch) {
  if (!reader.EnterArray()) return BadJson(reader.Problem());
  while (reader.NextElement()) {
    if (reader.Peek() == json::Reader::Type::kArray) {
      TRY_DO(ReadNested(reader, datatype, count, seen, wire, scratch));
      continue;
    }
    if (++seen > count)
      return BadJson(datatype == Datatype::kBytes ? "Unable to parse 'data': shape does not match true shape of 'data' field"
                                                  : "Unable to parse 'data': Shape does not match true shape of 'data' field");
    TRY_DO(ReadElement(reader, datatype, wire, scratch));
  }
  if (!reader.ok()) return BadJson(reader.Problem());
  return Nothing{};
}

}  // namespace

Result<std::string> ReadData(json::Reader& reader, Datatype datatype, std::int64_t count) {
  std::string wire, scratch;
  std::int64_t seen = 0;
  if (reader.Peek() != json::Reader::Type::kArray) return WrongType("array", "array");
  TRY_DO(ReadNested(reader, datatype, count, seen, wire, scratch));
  if (seen != count) return BadJson("Unable to parse 'data': Shape does not match true shape of 'data' field");
  return wire;
}

double HalfToDouble(std::uint16_t bits) {
  int exponent = (bits >> 10) & 0x1f, mantissa = bits & 0x3ff;
  double value = exponent == 0    ? std::ldexp(mantissa, -24)
                 : exponent == 31 ? (mantissa ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity())
                                  : std::ldexp(mantissa + 1024, exponent - 25);
  return bits & 0x8000 ? -value : value;
}

double BrainToDouble(std::uint16_t bits) {
  return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16));
}

namespace {

template <class T, class F>
void EachOf(std::string_view wire, F append) {
  for (std::size_t at = 0; at + sizeof(T) <= wire.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, wire.data() + at, sizeof value);
    append(value, at > 0);
  }
}

template <class T>
void AppendIntegers(std::string& out, std::string_view wire) {
  EachOf<T>(wire, [&](T value, bool comma) {
    if (comma) out += ',';
    if constexpr (std::is_signed_v<T>) json::AppendInt(out, value);
    else json::AppendUint(out, value);
  });
}

template <class T, class F>
void AppendFloats(std::string& out, std::string_view wire, F to_double) {
  EachOf<T>(wire, [&](T value, bool comma) {
    if (comma) out += ',';
    json::AppendDouble(out, to_double(value));
  });
}

}  // namespace

Result<Nothing> AppendData(std::string& out, Datatype datatype, std::string_view wire) {
  switch (datatype) {
    case Datatype::kBool:
      for (std::size_t i = 0; i < wire.size(); ++i) {
        if (i > 0) out += ',';
        out += wire[i] ? "true" : "false";
      }
      return Nothing{};
    case Datatype::kInt8: AppendIntegers<std::int8_t>(out, wire); return Nothing{};
    case Datatype::kInt16: AppendIntegers<std::int16_t>(out, wire); return Nothing{};
    case Datatype::kInt32: AppendIntegers<std::int32_t>(out, wire); return Nothing{};
    case Datatype::kInt64: AppendIntegers<std::int64_t>(out, wire); return Nothing{};
    case Datatype::kUint8: AppendIntegers<std::uint8_t>(out, wire); return Nothing{};
    case Datatype::kUint16: AppendIntegers<std::uint16_t>(out, wire); return Nothing{};
    case Datatype::kUint32: AppendIntegers<std::uint32_t>(out, wire); return Nothing{};
    case Datatype::kUint64: AppendIntegers<std::uint64_t>(out, wire); return Nothing{};
    case Datatype::kFp32: AppendFloats<float>(out, wire, [](float v) { return static_cast<double>(v); }); return Nothing{};
    case Datatype::kFp64: AppendFloats<double>(out, wire, [](double v) { return v; }); return Nothing{};
    case Datatype::kFp16:
    case Datatype::kBf16:
      return Error(
          Code::kInvalidArgument,
          fmt::format("sending {} data via JSON is not supported. Please use the binary data format for output", DatatypeName(datatype)),
          "no_json_form");
    case Datatype::kBytes: {
      TRY(auto elements, SplitBytes(wire));
      for (std::size_t i = 0; i < elements.size(); ++i) {
        if (i > 0) out += ',';
        json::AppendString(out, elements[i]);
      }
      return Nothing{};
    }
    case Datatype::kInvalid: break;
  }
  return Error(Code::kInternal, "an output has no datatype");
}

}  // namespace nereid::kserve

#include "grpc/contents.h"

#include <fmt/format.h>

#include "proto/grpc_service.pb.h"

namespace nereid::grpc_front {
namespace {

using Input = inference::ModelInferRequest_InferInputTensor;

std::unexpected<Status> Invalid(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message));
}

class Writer {
 public:
  Writer(const Input& input, Datatype datatype, const std::string& model) : input_(input), datatype_(datatype), model_(model) {}

  // The values of one kind of contents: `kind` is their own datatype; T is what the tensor holds.
  template <class T, class Values>
  Result<Nothing> Take(Datatype kind, const Values& values) {
    if (values.empty()) return Nothing{};
    TRY_DO(Agree(kind));
    wire_.reserve(static_cast<std::size_t>(values.size()) * sizeof(T));
    for (auto value : values) {
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
        if (!std::in_range<T>(value))
          return Invalid(fmt::format("value {} of input tensor '{}' for model '{}' does not fit in {}", value, input_.name(), model_,
                                     DatatypeName(datatype_)));
      }
      T narrow = static_cast<T>(value);
      wire_.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
    }
    taken_ = true;
    return Nothing{};
  }

  template <class Values>
  Result<Nothing> TakeStrings(const Values& values) {
    if (values.empty()) return Nothing{};
    TRY_DO(Agree(Datatype::kBytes));
    for (const std::string& value : values) AppendBytesElement(wire_, value);
    taken_ = true;
    return Nothing{};
  }

  Bytes Done() && { return Bytes::Own(std::move(wire_)); }

 private:
  Result<Nothing> Agree(Datatype kind) const {
    if (taken_)
      return Invalid(fmt::format("unexpected explicit tensor data for input tensor '{}' for model '{}', binary data was already supplied.",
                                 input_.name(), model_));
    if (kind != datatype_)
      return Invalid(
          fmt::format("unexpected explicit tensor data for input tensor '{}' for model '{}' of type '{}', expected datatype '{}'",
                      input_.name(), model_, DatatypeName(kind), DatatypeName(datatype_)));
    return Nothing{};
  }

  const Input& input_;
  const Datatype datatype_;
  const std::string& model_;
  std::string wire_;
  bool taken_ = false;
};

}  // namespace

Result<Bytes> ContentsBytes(const Input& input, Datatype datatype, const std::string& model) {
  const inference::InferTensorContents& contents = input.contents();
  Writer writer(input, datatype, model);
  TRY_DO(writer.Take<bool>(Datatype::kBool, contents.bool_contents()));
  // The small integers travel in the 32-bit lists.
  const auto& ints = contents.int_contents();
  TRY_DO(datatype == Datatype::kInt8    ? writer.Take<std::int8_t>(Datatype::kInt8, ints)
         : datatype == Datatype::kInt16 ? writer.Take<std::int16_t>(Datatype::kInt16, ints)
                                        : writer.Take<std::int32_t>(Datatype::kInt32, ints));
  TRY_DO(writer.Take<std::int64_t>(Datatype::kInt64, contents.int64_contents()));
  const auto& uints = contents.uint_contents();
  TRY_DO(datatype == Datatype::kUint8    ? writer.Take<std::uint8_t>(Datatype::kUint8, uints)
         : datatype == Datatype::kUint16 ? writer.Take<std::uint16_t>(Datatype::kUint16, uints)
                                         : writer.Take<std::uint32_t>(Datatype::kUint32, uints));
  TRY_DO(writer.Take<std::uint64_t>(Datatype::kUint64, contents.uint64_contents()));
  TRY_DO(writer.Take<float>(Datatype::kFp32, contents.fp32_contents()));
  TRY_DO(writer.Take<double>(Datatype::kFp64, contents.fp64_contents()));
  TRY_DO(writer.TakeStrings(contents.bytes_contents()));
  return std::move(writer).Done();
}

}  // namespace nereid::grpc_front

// The classification extension: the n greatest values of an output, as texts "value:index[:label]".
#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "grpc/infer_response.h"

namespace nereid::grpc_front {
namespace {

constexpr std::int64_t kElementsMax = 1'000'000;

// The values of one batch row; `bytes` need not be aligned.
template <class T>
void AppendRow(std::string_view bytes, std::size_t classes, const std::vector<std::string>* labels, std::string& wire) {
  std::vector<T> values(bytes.size() / sizeof(T));
  bytes.copy(reinterpret_cast<char*>(values.data()), values.size() * sizeof(T));
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  auto before = [&values](std::size_t a, std::size_t b) {
    if constexpr (std::is_floating_point_v<T>) {
      // Not a number is less than all: without this the order is none.
      if (std::isnan(values[a]) || std::isnan(values[b])) return !std::isnan(values[a]) || (std::isnan(values[b]) && a < b);
    }
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(classes), order.end(), before);
  for (std::size_t index : std::span(order).first(classes)) {
    std::string text = fmt::format("{}:{}", std::to_string(values[index]), index);
    if (labels && index < labels->size() && !(*labels)[index].empty()) text.append(":").append((*labels)[index]);
    AppendBytesElement(wire, text);
  }
}

using Append = void (*)(std::string_view, std::size_t, const std::vector<std::string>*, std::string&);
Append AppendFor(Datatype datatype) {
  switch (datatype) {
    case Datatype::kUint8: return AppendRow<std::uint8_t>;
    case Datatype::kUint16: return AppendRow<std::uint16_t>;
    case Datatype::kUint32: return AppendRow<std::uint32_t>;
    case Datatype::kUint64: return AppendRow<std::uint64_t>;
    case Datatype::kInt8: return AppendRow<std::int8_t>;
    case Datatype::kInt16: return AppendRow<std::int16_t>;
    case Datatype::kInt32: return AppendRow<std::int32_t>;
    case Datatype::kInt64: return AppendRow<std::int64_t>;
    case Datatype::kFp32: return AppendRow<float>;
    case Datatype::kFp64: return AppendRow<double>;
    case Datatype::kInvalid:
    case Datatype::kBool:
    case Datatype::kFp16:
    case Datatype::kBytes:
    case Datatype::kBf16: return nullptr;
  }
  Panic("a Datatype without a case", __FILE__, __LINE__);
}

Result<Nothing> ClassifyOne(std::int64_t wanted, const ModelInfo& model, Tensor& tensor) {
  Append append = AppendFor(tensor.datatype);
  if (!append)
    return Error(Code::kInvalidArgument,
                 fmt::format("class result not available for output due to unsupported type '{}'", DatatypeName(tensor.datatype)));
  std::optional<std::int64_t> elements = ElementCount(tensor.shape);
  if (!elements || static_cast<std::size_t>(*elements) * ElementBytes(tensor.datatype) != tensor.data.size())
    return Error(Code::kInternal, fmt::format("output '{}' of model '{}' does not hold what its shape {} says", tensor.name, model.name,
                                              ShapeText(tensor.shape)));
  if (*elements > kElementsMax) return Error(Code::kInvalidArgument, "classification output tensor too large");
  bool batches = model.max_batch_size > 0 && !tensor.shape.empty();
  std::int64_t rows = batches ? tensor.shape[0] : 1;
  std::int64_t row_elements = rows > 0 ? *elements / rows : 0;
  std::int64_t classes = std::min(wanted, row_elements);
  auto labels = model.labels.find(tensor.name);
  std::size_t row_bytes = static_cast<std::size_t>(row_elements) * ElementBytes(tensor.datatype);
  std::string wire;
  for (std::int64_t row = 0; row < rows; ++row) {
    append(tensor.data.view().substr(static_cast<std::size_t>(row) * row_bytes, row_bytes), static_cast<std::size_t>(classes),
           labels == model.labels.end() ? nullptr : &labels->second, wire);
  }
  tensor.datatype = Datatype::kBytes;
  tensor.shape = batches ? Shape{rows, classes} : Shape{classes};
  tensor.data = Bytes::Own(std::move(wire));
  return Nothing{};
}

}  // namespace

Result<Nothing> Classify(const AnswerOptions& options, const ModelInfo& model, InferResponse& response) {
  for (const AnswerOptions::Classification& wanted : options.classifications) {
    for (Tensor& tensor : response.outputs) {
      if (tensor.name == wanted.output) TRY_DO(ClassifyOne(wanted.classes, model, tensor));
    }
  }
  return Nothing{};
}

}  // namespace nereid::grpc_front

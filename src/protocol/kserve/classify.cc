#include "protocol/kserve/classify.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>

#include <fmt/format.h>

namespace nereid::kserve {
namespace {

constexpr std::int64_t kRowElementsMax = 1'000'000;

// Appends the best of one row; `row` need not be aligned.
template <class T>
void AppendRow(std::string_view row, std::size_t classes, const std::vector<std::string>* labels, std::string& wire) {
  std::vector<T> values(row.size() / sizeof(T));
  row.copy(reinterpret_cast<char*>(values.data()), values.size() * sizeof(T));
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
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

}  // namespace

Result<Tensor> Classify(const Tensor& tensor, std::uint64_t classes, const Labels& labels, bool batched) {
  Append append = AppendFor(tensor.datatype);
  if (!append)
    return Error(Code::kInvalidArgument,
                 fmt::format("class result not available for output due to unsupported type '{}'", DatatypeName(tensor.datatype)),
                 "bad_request");
  bool rows_lead = batched && !tensor.shape.empty();
  std::optional<std::int64_t> elements = ElementCount(tensor.shape);
  std::optional<std::int64_t> row_elements = ElementCount(std::span(tensor.shape).subspan(rows_lead ? 1 : 0));
  if (!row_elements || *row_elements > kRowElementsMax)
    return Error(Code::kInvalidArgument, "classification output tensor too large", "bad_request");
  std::size_t element_bytes = ElementBytes(tensor.datatype);
  std::string_view data = tensor.data.view();
  if (!elements || data.size() % element_bytes > 0 || data.size() / element_bytes != static_cast<std::size_t>(*elements))
    return Error(Code::kInternal, fmt::format("output '{}' does not hold what its shape {} says", tensor.name, ShapeText(tensor.shape)));
  std::size_t row_bytes = static_cast<std::size_t>(*row_elements) * element_bytes;
  auto best = std::min<std::uint64_t>(classes, static_cast<std::uint64_t>(*row_elements));
  auto names = labels.find(tensor.name);
  std::string wire;
  for (std::size_t at = 0; at < data.size(); at += row_bytes)
    append(data.substr(at, row_bytes), best, names == labels.end() ? nullptr : &names->second, wire);
  Tensor out{tensor.name, Datatype::kBytes, {static_cast<std::int64_t>(best)}, Bytes::Own(std::move(wire))};
  if (rows_lead) out.shape.insert(out.shape.begin(), tensor.shape[0]);
  return out;
}

}  // namespace nereid::kserve

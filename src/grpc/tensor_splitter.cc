#include "grpc/tensor_splitter.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include "grpc/infer_request.h"
#include "proto/grpc_service.pb.h"

namespace nereid::grpc_front {
namespace {

using google::protobuf::internal::WireFormatLite;
using inference::ModelInferRequest;

constexpr std::size_t kFieldHeadMax = 10;  // two varints of 32 bits

}  // namespace

bool TensorSplitter::Begin(std::size_t length) {
  next_ = 0;
  name_.clear();
  version_.clear();
  return length >= bytes_min_;
}

Splitter::Found TensorSplitter::Look(std::string_view head, std::size_t came, Part& part) {
  while (next_ < head.size()) {
    std::string_view rest = head.substr(next_);
    google::protobuf::io::CodedInputStream in(reinterpret_cast<const std::uint8_t*>(rest.data()),
                                              static_cast<int>(std::min(rest.size(), kFieldHeadMax)));
    std::uint32_t tag = in.ReadTag(), size = 0;
    if (tag == 0 || !in.ReadVarint32(&size)) return rest.size() < kFieldHeadMax ? Found::kMore : Found::kNothing;
    // All its fields have a length.
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) return Found::kNothing;
    auto content = static_cast<std::size_t>(in.CurrentPosition());
    int field = WireFormatLite::GetTagFieldNumber(tag);
    if (field == ModelInferRequest::kModelNameFieldNumber || field == ModelInferRequest::kModelVersionFieldNumber) {
      if (rest.size() - content < size) return Found::kMore;
      (field == ModelInferRequest::kModelNameFieldNumber ? name_ : version_) = rest.substr(content, size);
    } else if (field == ModelInferRequest::kRawInputContentsFieldNumber && size >= bytes_min_) {
      if (came < size / net::kAheadGrowth) return Found::kMore;
      part = {next_ + content, size, allocate_(name_, version_, size)};
      next_ = part.at;
      return part.memory ? Found::kPart : Found::kNothing;
    }
    next_ += content + size;
  }
  return Found::kMore;
}

TensorSplitter::Allocate InputMemoryFor(const CallContext& shared, const net::Http2Stream& stream) {
  return [&shared, &stream](const std::string& name, const std::string& version, std::size_t bytes) -> std::shared_ptr<char> {
    const Access& access = shared.access;
    if (!access.Free(Category::kInference, false) && !access.Check(Category::kInference, false, name, stream.headers())) return nullptr;
    auto ref = ParseModelRef(name, version);
    if (!ref) return nullptr;
    auto model = shared.models.Find(*ref);
    return model && (*model)->input_memory ? (*model)->input_memory->Allocate(bytes) : nullptr;
  };
}

}  // namespace nereid::grpc_front

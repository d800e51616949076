// Messages of a Python worker whose memory holds anything. What is accepted lies inside the message.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "backends/python/messages.h"
#include "protocol/kserve/infer_response.h"

namespace {

using namespace nereid;
using namespace nereid::python;

void CheckTensor(const Tensor& tensor, const std::string& memory) {
  std::string_view bytes = tensor.data.view();
  if (!bytes.empty() && (bytes.data() < memory.data() || bytes.data() + bytes.size() > memory.data() + memory.size())) std::abort();
  auto count = ElementCount(tensor.shape);
  if (!count) std::abort();
  if (tensor.datatype != Datatype::kBytes && static_cast<std::uint64_t>(*count) * ElementBytes(tensor.datatype) != bytes.size())
    std::abort();
}

// Every value, whatever it is.
void ReadAll(PackReader& reader) {
  for (;;) {
    switch (reader.Next()) {
      case PackReader::Kind::kNil: reader.TakeNil(); break;
      case PackReader::Kind::kBool: reader.Bool(); break;
      case PackReader::Kind::kInt: reader.Int(); break;
      case PackReader::Kind::kFloat: reader.Float(); break;
      case PackReader::Kind::kText: reader.Text(); break;
      case PackReader::Kind::kArray: reader.Array(); break;
      case PackReader::Kind::kEnd: return;
    }
    if (!reader.ok()) return;
  }
}

}  // namespace

// The input: how long the packed part is, in 16 bits, least first; the packed part; the tensors behind it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::size_t length = std::min<std::size_t>(data[0] | data[1] << 8, size - 2);
  std::string packed(reinterpret_cast<const char*>(data + 2), length);
  auto memory = std::make_shared<std::string>(reinterpret_cast<const char*>(data + 2 + length), size - 2 - length);
  Message message{memory, packed, memory->data(), memory->size()};

  PackReader response_reader(packed);
  InferResponse response;
  if (ReadResponse(response_reader, message, response) && !response.error) {
    for (const Tensor& tensor : response.outputs) CheckTensor(tensor, *memory);
    (void)kserve::RenderInferResponse(response, {}, false, {}, 1);
  }
  PackReader tensors_reader(packed);
  if (auto tensors = ReadTensors(tensors_reader, message); tensors)
    for (const Tensor& tensor : *tensors) CheckTensor(tensor, *memory);
  PackReader all_reader(packed);
  ReadAll(all_reader);
  (void)ReadParametersJson(packed);
  return 0;
}

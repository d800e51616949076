// What the messages say. The numbers are those of python/nereid_worker/channel.py.
#pragma once

#include <string>
#include <vector>

#include "api/infer.h"
#include "backends/python/channel.h"
#include "backends/python/pack.h"

namespace nereid::python {

// Calls of the server, one at a time; each is answered by one kDone. The first kDone comes unasked, when the worker is up.
enum class CallKind : std::uint8_t { kAutoComplete, kInitialize, kExecute, kFinalize };

// Messages of the worker.
enum class Said : std::uint8_t {
  kDone,        // error or nil, result
  kResponse,    // request, flags, response or nil
  kWatch,       // call, request: reply whether its client went away, and keep its cell up to date
  kLog,         // level, file, line, text
  kReady,       // whether the model says that it is ready, or nil
  kMetric,      // call, [what, ...]
  kInfer,       // call, model, version, ...: see nested_infer.cc
  kCancel,      // call
  kCredit,      // call, how many responses were read
  kLoad,        // call, [model, config, files]
  kUnload,      // call, [model, with dependents]
  kModelReady,  // call, [model, version]
};

// A reply to this call asks the worker to say kReady.
inline constexpr std::uint64_t kAskReady = 0;

inline constexpr std::int64_t kCompleteFinal = 1;  // TRITONSERVER_RESPONSE_COMPLETE_FINAL

// Where a tensor of a message lies: in the message's own block, behind the packed data, or in one that the server had lent.
using TensorPlace = LentPart;

// The tensors of a message to the worker, laid out one after another, each 64-aligned, from `at` on, but for those that `channel`, if
// there is one, had lent the memory for; returns where the last one ends.
std::size_t LayOut(const Channel* channel, const std::vector<Tensor>& tensors, std::size_t at, std::vector<TensorPlace>& places);
// Their bytes, into a message's block; the worker will release the blocks of the others, once for each.
void HandOver(const std::vector<Tensor>& tensors, const TensorPlace* places, char* to);
// name, datatype, shape, offset, size, block
void PackTensor(PackWriter& writer, const Tensor& tensor, const TensorPlace& place);
// Tensors of the worker, views into the message. After an error the reader is not ok.
Result<std::vector<Tensor>> ReadTensors(PackReader& reader, const Message& message);

// Parameters as the JSON object that models get; empty when there are none.
std::string ParametersJson(const Parameters& parameters);
Result<Parameters> ReadParametersJson(std::string_view json);

// Triton's codes in pb_utils.TritonError.
Code CodeOf(std::int64_t triton_code);
std::int64_t TritonCodeOf(Code code);

// [error or nil, parameters, outputs] into `response`. When only the parameters are wrong, the reader stays ok and stands behind it all.
Result<Nothing> ReadResponse(PackReader& reader, const Message& message, InferResponse& response);

}  // namespace nereid::python

// A loaded ONNX file: what goes in and out, and running it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "backends/onnxruntime/library.h"
#include "proto/model_config.pb.h"

namespace nereid::onnxruntime {

struct Port {
  std::string name;
  Datatype datatype = Datatype::kInvalid;
  Shape shape;  // -1 for a dim that varies
};

struct Session {
  Ort::Session session{nullptr};
  std::vector<Port> inputs, outputs;
  int threads = 1;  // that a run keeps busy
  // The same file on the caller's thread alone, for runs beside others: one run over all cores loses time at every operator's barrier,
  // several of one thread do not. Null where one run at a time is all there is.
  std::shared_ptr<Session> narrow;

  const Port* Output(std::string_view name) const;
};

struct SessionSettings {
  bool cuda = false;
  int device = 0;
  int shared_threads = 1;   // of the pool that all sessions share
  bool one_thread = false;  // without a pool
};

// Errors name the file and carry ONNX Runtime's own text.
Result<std::shared_ptr<Session>> LoadSession(Ort::Env& environment, const std::filesystem::path& file, const inference::ModelConfig& config,
                                             const SessionSettings& settings);

}  // namespace nereid::onnxruntime

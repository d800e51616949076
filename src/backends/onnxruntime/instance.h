// Runs batches on a session: gathers inputs, computes, slices outputs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/backend.h"
#include "backends/onnxruntime/session.h"

namespace nereid::onnxruntime {

class Instance final : public ModelInstance {
 public:
  // `arbiter` outlives the instance.
  Instance(std::shared_ptr<Session> session, const inference::ModelConfig& config, ComputeArbiter& arbiter);
  void Execute(ExecutionBatch batch) override;

 private:
  struct Io {
    std::string name;
    Datatype datatype;
  };
  struct Gathered {
    std::vector<const char*> names;
    std::vector<Ort::Value> values;
    std::vector<std::shared_ptr<void>> owners;  // of concatenated inputs
  };
  Result<Gathered> Gather(const ExecutionBatch& batch) const;
  std::vector<const char*> WantedOutputs(const ExecutionBatch& batch) const;
  // The session for a run that starts now, and the cores for it.
  struct Claim {
    Session* session;
    ComputeArbiter::Hold cores;
  };
  Claim ClaimCores();
  void ExecutePart(ExecutionBatch batch, ComputeArbiter::Hold cores, Session& session);
  Result<Nothing> Run(ExecutionBatch& batch, ComputeArbiter::Hold cores, Session& session, ComputeTimes& times);
  Result<Nothing> Scatter(ExecutionBatch& batch, const std::vector<const char*>& names, std::vector<Ort::Value> values,
                          ComputeTimes& times) const;

  const std::shared_ptr<Session> session_;
  ComputeArbiter& arbiter_;
  const Ort::MemoryInfo memory_;
  const bool batches_;
  bool quick_ = false;  // the last run was
  std::vector<Io> inputs_, outputs_;
};

}  // namespace nereid::onnxruntime

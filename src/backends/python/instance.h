// One instance of a Python model: a worker, and another one when that has ended.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/backend.h"
#include "backends/python/restart_policy.h"
#include "backends/python/worker.h"

namespace nereid::python {

// An instance's worker, for all who ask for it, and what the worker tells. Any thread; may outlive the instance.
class WorkerSlot final : public WorkerOwner {
 public:
  // The worker runs, its model is initialized and does not say that it is not ready.
  bool ready() const;
  // Null when there is none whose model is initialized.
  std::shared_ptr<Worker> running() const;

  void OnBatchOver() override;
  void OnWorkerEnd(std::vector<ExecutionBatch> unstarted) override;

 private:
  friend class Instance;
  mutable std::mutex mutex_;
  std::shared_ptr<Worker> worker_;  // guarded by mutex_, as all that follows
  bool initialized_ = false;
  bool stopping_ = false;  // no worker is put in any more
  InstanceHooks hooks_;
  std::vector<ExecutionBatch> stranded_;  // for the next worker
};

class Instance final : public ModelInstance {
 public:
  struct Setup {
    WorkerSetup worker;
    PackWriter initialize;  // the call
    Nanos stub_limit{0};    // for finalize(), and at least this for a later initialize()
    Tender* tender = nullptr;
    std::shared_ptr<WorkerSlot> slot;
  };

  // Starts its worker, or goes on with `worker`. The error is the model's or says why there is no worker.
  static Result<std::unique_ptr<Instance>> Create(Setup setup, std::shared_ptr<Worker> worker);
  // Finalizes the model.
  ~Instance() override;

  bool posts() const override { return true; }
  void Execute(ExecutionBatch batch) override;
  void SetHooks(InstanceHooks hooks) override;
  Standing Attend() override;
  void Stop() override;

 private:
  explicit Instance(Setup setup) : setup_(std::move(setup)) {}
  // `limit`: 0 is none.
  Result<Nothing> Initialize(std::shared_ptr<Worker> worker, Nanos limit);
  Standing Restart();
  Standing OutOfService() const;

  const Setup setup_;
  // The instance's thread only.
  RestartPolicy policy_;
  std::string down_because_;
  Nanos first_start_{0};  // how long the model took to initialize at first
};

}  // namespace nereid::python

// One instance of a Python model: a worker, and another one when that has ended.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "api/backend.h"
#include "backends/python/restart_policy.h"
#include "backends/python/worker.h"

namespace nereid::python {

// Where an instance's worker stands, for all who ask whether the instance is ready. Any thread; may outlive the instance.
class WorkerSlot {
 public:
  // It runs, its model is initialized and does not say that it is not ready.
  bool ready() const;
  std::shared_ptr<Worker> worker() const;

 private:
  friend class Instance;
  mutable std::mutex mutex_;
  std::shared_ptr<Worker> worker_;  // guarded by mutex_
  bool initialized_ = false;        // guarded by mutex_
  bool stopping_ = false;           // guarded by mutex_; no worker is put in any more
  std::function<void()> alarm_;     // guarded by mutex_; what a worker's end calls
};

class Instance final : public ModelInstance {
 public:
  struct Setup {
    WorkerSetup worker;
    PackWriter initialize;  // the call
    Nanos finalize_limit{0};
    Tender* tender = nullptr;
    std::shared_ptr<WorkerSlot> slot;
  };

  // Starts its worker, or goes on with `worker`. The error is the model's or says why there is no worker.
  static Result<std::unique_ptr<Instance>> Create(Setup setup, std::shared_ptr<Worker> worker);
  // Finalizes the model.
  ~Instance() override;

  void Execute(ExecutionBatch batch) override;
  void AttendWhen(std::function<void()> call) override;
  Standing Attend() override;
  void Stop() override;

 private:
  explicit Instance(Setup setup) : setup_(std::move(setup)) {}
  Result<Nothing> Initialize(std::shared_ptr<Worker> worker);
  bool Runs() const;
  Standing OutOfService() const;

  const Setup setup_;
  // The instance's thread only.
  RestartPolicy policy_;
  std::string down_because_;
};

}  // namespace nereid::python

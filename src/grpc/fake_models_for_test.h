// A ModelService that tests steer: each submitted request is kept, or answered at once.
#pragma once

#include "api/model_service.h"
#include "proto/model_config.pb.h"

namespace nereid::grpc_front {

class FakeModels final : public ModelService {
 public:
  struct Submitted {
    InferRequest request;
    std::shared_ptr<InferReceiver> receiver;
  };

  void AddModel(std::string name, bool decoupled = false) {
    auto model = std::make_shared<ModelInfo>();
    model->name = name;
    model->versions = {1};
    model->platform = "identity";
    model->inputs = {{"IN", Datatype::kInt32, {-1, 2}}};
    model->outputs = {{"OUT", Datatype::kInt32, {-1, 2}}};
    model->decoupled = decoupled;
    auto config = std::make_shared<inference::ModelConfig>();
    config->set_name(name);
    model->config = config;
    models_[std::move(name)] = model;
  }

  // Called for every request, on the submitting thread.
  std::function<void(Submitted)> on_submit = [](Submitted submitted) { submitted.receiver->Push(Echo(submitted.request)); };
  bool ready = true;

  // The inputs as outputs, OUT for IN.
  static InferResponse Echo(const InferRequest& request) {
    InferResponse response;
    response.model_name = request.model.name;
    response.model_version = 1;
    response.client_id = request.client_id;
    response.outputs = request.inputs;
    for (Tensor& tensor : response.outputs) tensor.name = "OUT";
    return response;
  }

  void Submit(InferRequest request, std::shared_ptr<InferReceiver> receiver) override {
    on_submit({std::move(request), std::move(receiver)});
  }
  Result<std::shared_ptr<const ModelInfo>> Find(const ModelRef& model) const override {
    auto found = models_.find(model.name);
    if (found == models_.end()) return Error(Code::kNotFound, "Request for unknown model: '" + model.name + "' is not found");
    return found->second;
  }
  std::vector<std::shared_ptr<const ModelInfo>> TextModels() const override { return {}; }
  bool Live() const override { return true; }
  bool Ready() const override { return ready; }
  bool ModelReady(const ModelRef& model) const override { return models_.contains(model.name); }
  void Load(std::string name, LoadOptions options, Done done) override {
    loaded.push_back(name);
    load_options = std::move(options);
    done(Nothing{});
  }
  void Unload(std::string, bool, Done done) override { done(Nothing{}); }
  std::vector<IndexEntry> Index(bool) const override { return {{"m", 1, "READY", ""}}; }
  Result<std::vector<ModelStats>> Statistics(const ModelRef&) const override {
    ModelStats stats;
    stats.name = "m";
    stats.inference_count = 7;
    stats.success = {3, 300};
    return std::vector<ModelStats>{stats};
  }

  std::vector<std::string> loaded;
  LoadOptions load_options;

 private:
  std::map<std::string, std::shared_ptr<const ModelInfo>> models_;
};

}  // namespace nereid::grpc_front

// A text model of this server as a target.
#pragma once

#include <memory>
#include <string>

#include "api/model_service.h"
#include "api/target.h"

namespace nereid::models {

class LocalTarget final : public Target {
 public:
  // `service` outlives the target. The model is looked up at each request, so that it may come and go.
  LocalTarget(ModelService& service, ModelRef model, Price cost);

  std::string_view name() const override { return name_; }
  const Price& cost() const override { return cost_; }
  net::Task<Outcome> Run(const TargetRequest& request, ResponseSink& sink) override;

 private:
  ModelService& service_;
  const ModelRef model_;
  const std::string name_;
  const Price cost_;
};

}  // namespace nereid::models

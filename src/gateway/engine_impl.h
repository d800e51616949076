// The whole story of a text request in one coroutine.
#pragma once

#include "api/accounts.h"
#include "api/engine.h"
#include "gateway/catalogue.h"

namespace nereid::gateway {

class EngineImpl final : public Engine {
 public:
  // All of them outlive the engine.
  EngineImpl(const TasksConfig& tasks, const class Catalogue& catalogue, Accounts& accounts, const Clock& clock)
      : tasks_(tasks), catalogue_(catalogue), accounts_(accounts), clock_(clock) {}

  net::Task<Nothing> Handle(Request& request, ResponseSink& sink) override;
  std::vector<CatalogueEntry> Catalogue(const Principal* principal) const override { return catalogue_.List(principal); }

 private:
  const TasksConfig& tasks_;
  const class Catalogue& catalogue_;
  Accounts& accounts_;
  const Clock& clock_;
};

}  // namespace nereid::gateway

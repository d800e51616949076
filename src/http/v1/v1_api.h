// The OpenAI-compatible endpoint: chat completions, completions, models.
#pragma once

#include "api/accounts.h"
#include "api/engine.h"
#include "http/routes.h"

namespace nereid::http {

struct V1Options {
  std::uint64_t body_bytes_max = 64 << 20;
  bool public_catalogue = true;  // GET /v1/models without a key
};

class V1Api {
 public:
  // Both outlive the API.
  V1Api(Engine& engine, const Accounts& accounts, V1Options options) : engine_(engine), accounts_(accounts), options_(options) {}
  // Adds the routes below /v1 and the renderer of its errors and of legacy paths; they live as long as the API.
  void Register(Routes& routes);

 private:
  net::Task<Nothing> Complete(Call& call, Operation operation);
  net::Task<Nothing> Models(Call& call);
  net::Task<Nothing> Model(Call& call);
  // Nothing: anonymous, where that is allowed.
  Result<std::optional<Principal>> ForCatalogue(net::Exchange& exchange) const;

  Engine& engine_;
  const Accounts& accounts_;
  const V1Options options_;
};

}  // namespace nereid::http

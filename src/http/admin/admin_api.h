// The administrator's endpoints under /v1/admin: keys and the cost report. All of them need the admin scope.
#pragma once

#include <functional>

#include "api/key_admin.h"
#include "api/reports.h"
#include "http/routes.h"

namespace nereid::http {

class AdminApi {
 public:
  using Authenticate = std::function<Result<Principal>(const net::Exchange&)>;

  // The references outlive it; it outlives the routes.
  AdminApi(KeyAdmin& keys, Reports& reports, Authenticate authenticate, const Clock& clock = SystemClock())
      : keys_(keys), reports_(reports), authenticate_(std::move(authenticate)), clock_(clock) {}

  // Its handlers render their own errors; 404 and 405 below /v1 are the router's.
  void Register(Routes& routes);

 private:
  using Method = net::Task<Nothing> (AdminApi::*)(Call&, const Principal&);
  void Add(Routes& routes, net::Method method, std::string_view pattern, Method handle);
  net::Task<Nothing> Guarded(Call& call, Method handle);

  net::Task<Nothing> CreateKey(Call& call, const Principal& principal);
  net::Task<Nothing> ListKeys(Call& call, const Principal& principal);
  net::Task<Nothing> GetKey(Call& call, const Principal& principal);
  net::Task<Nothing> DeleteKey(Call& call, const Principal& principal);
  net::Task<Nothing> Usage(Call& call, const Principal& principal);

  KeyAdmin& keys_;
  Reports& reports_;
  const Authenticate authenticate_;
  const Clock& clock_;
};

}  // namespace nereid::http

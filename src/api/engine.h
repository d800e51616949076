// The front ends' only door to text answers: choose, reserve, run, settle.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/request.h"
#include "api/response.h"
#include "net/task.h"

namespace nereid {

struct CatalogueEntry {
  std::string name;
  std::int64_t created = 0;  // seconds since the epoch
  std::string owned_by;      // "nereid" or the provider's name
};

class Engine {
 public:
  virtual ~Engine() = default;
  // An error while nothing was started is to be rendered by the caller; afterwards the caller ends the stream as its dialect does.
  // On the request's io thread; `request` and `sink` outlive the task.
  virtual net::Task<Nothing> Handle(Request& request, ResponseSink& sink) = 0;
  // What `principal` may use (nullptr: anonymous, only models marked public), sorted by name. Any io thread.
  virtual std::vector<CatalogueEntry> Catalogue(const Principal* principal) const = 0;
};

}  // namespace nereid

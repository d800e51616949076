// The route table: finds the handler of a path and renders what a handler could not answer, in the dialect of the path.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "net/exchange.h"

namespace nereid::http {

// One request on its way to a handler. Parameters are as sent: percent signs are not decoded.
struct Call {
  net::Exchange& exchange;
  std::vector<std::pair<std::string_view, std::string_view>> params;

  std::string_view Param(std::string_view name) const {
    for (const auto& [key, value] : params) {
      if (key == name) return value;
    }
    return {};
  }
};

class Routes {
 public:
  using Handle = std::function<net::Task<Nothing>(Call&)>;
  using RenderError = std::function<net::Task<Nothing>(net::Exchange&, const Status&)>;

  // Segments of `pattern` are literals, "{name}" (one segment, not empty), "{name:digits}", or as the last one "{name*}" (the rest,
  // slashes too). Literals win over parameters; among patterns the first added wins.
  void Add(net::Method method, std::string_view pattern, Handle handle);

  // Who answers errors below `prefix` (the longest prefix wins): 404 with reason "no_route", 405 with reason "wrong_method", and
  // whatever a handler returned while nothing had started.
  void RenderErrorsBelow(std::string prefix, RenderError render);

  net::Task<Nothing> Serve(net::Exchange& exchange) const;

 private:
  struct Route {
    net::Method method;
    std::string pattern;
    std::vector<std::string> segments;
    Handle handle;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct Found {
    const Route* route = nullptr;
    bool wrong_method = false;
    std::vector<std::pair<std::string_view, std::string_view>> params;
  };
  Found Find(net::Method method, std::string_view path) const;
  const RenderError* Renderer(std::string_view path) const;

  std::vector<std::unique_ptr<Route>> routes_;
  std::unordered_map<std::string, std::vector<const Route*>, Hash, std::equal_to<>> literal_;
  std::vector<const Route*> patterns_;
  std::vector<std::pair<std::string, RenderError>> renderers_;  // longest prefix first
};

}  // namespace nereid::http

#include "http/routes.h"

#include <algorithm>

namespace nereid::http {
namespace {

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  path.remove_prefix(std::min<std::size_t>(1, path.size()));
  for (;;) {
    std::size_t slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

bool IsParameter(std::string_view segment) {
  return segment.starts_with('{');
}

bool AllDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

void Routes::Add(net::Method method, std::string_view pattern, Handle handle) {
  auto route = std::make_unique<Route>(method, std::string(pattern), std::vector<std::string>{}, std::move(handle));
  bool literal = true;
  for (std::string_view segment : Segments(pattern)) {
    literal = literal && !IsParameter(segment);
    route->segments.emplace_back(segment);
  }
  if (literal) literal_[route->pattern].push_back(route.get());
  else patterns_.push_back(route.get());
  routes_.push_back(std::move(route));
}

void Routes::RenderErrorsBelow(std::string prefix, RenderError render) {
  renderers_.emplace_back(std::move(prefix), std::move(render));
  std::sort(renderers_.begin(), renderers_.end(), [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

Routes::Found Routes::Find(net::Method method, std::string_view path) const {
  Found found;
  if (auto entry = literal_.find(path); entry != literal_.end()) {
    for (const Route* route : entry->second) {
      if (route->method == method) return {route, false, {}};
    }
    found.wrong_method = true;
    return found;
  }
  std::vector<std::string_view> segments = Segments(path);
  for (const Route* route : patterns_) {
    const auto& pattern = route->segments;
    bool takes_rest = pattern.back().ends_with("*}");
    if (takes_rest ? segments.size() < pattern.size() : segments.size() != pattern.size()) continue;
    std::vector<std::pair<std::string_view, std::string_view>> params;
    bool matches = true;
    for (std::size_t i = 0; i < pattern.size() && matches; ++i) {
      std::string_view want = pattern[i], have = segments[i];
      if (!IsParameter(want)) {
        matches = want == have;
      } else if (want.ends_with("*}")) {
        have = path.substr(static_cast<std::size_t>(have.data() - path.data()));
        matches = !have.empty();
        params.emplace_back(want.substr(1, want.size() - 3), have);
      } else if (want.ends_with(":digits}")) {
        matches = AllDigits(have);
        params.emplace_back(want.substr(1, want.size() - 9), have);
      } else {
        matches = !have.empty();
        params.emplace_back(want.substr(1, want.size() - 2), have);
      }
    }
    if (!matches) continue;
    if (route->method == method) return {route, false, std::move(params)};
    found.wrong_method = true;
  }
  return found;
}

const Routes::RenderError* Routes::Renderer(std::string_view path) const {
  for (const auto& [prefix, render] : renderers_) {
    if (path.starts_with(prefix)) return &render;
  }
  return nullptr;
}

net::Task<Nothing> Routes::Serve(net::Exchange& exchange) const {
  // HEAD is answered where GET is; the connection leaves the body away.
  net::Method method = exchange.method() == net::Method::kHead ? net::Method::kGet : exchange.method();
  Found found = Find(method, exchange.path());
  Result<Nothing> result = Nothing{};
  if (found.route) {
    Call call{exchange, std::move(found.params)};
    result = co_await found.route->handle(call);
  } else if (found.wrong_method) {
    result = Error(Code::kUnsupported, "Method Not Allowed", "wrong_method");
  } else {
    result = Error(Code::kNotFound, "Not Found", "no_route");
  }
  if (result || exchange.started()) co_return result;
  const RenderError* render = Renderer(exchange.path());
  if (!render) co_return co_await exchange.Respond(net::ResponseHead{500, "text/plain", {}}, result.error().message);
  co_return co_await (*render)(exchange, result.error());
}

}  // namespace nereid::http

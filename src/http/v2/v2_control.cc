// Repository control, shared memory, trace and logging settings.
#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "codec/base64.h"
#include "codec/json_reader.h"
#include "codec/json_text.h"
#include "http/v2/v2_api.h"
#include "net/spawn.h"
#include "protocol/kserve/metadata.h"

namespace nereid::http {
namespace {

namespace bj = boost::json;

std::unexpected<Status> BadJson(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message), "bad_json");
}
std::unexpected<Status> WrongType(std::string_view what, std::string_view as) {
  return BadJson(fmt::format("attempt to access JSON non-{} as {}", what, as));
}

// The body as a document; what is no object is an empty one.
Result<bj::object> Document(std::string_view body) {
  if (auto problem = json::Reader::Check(body)) return BadJson("failed to parse the request JSON buffer: " + *problem);
  boost::system::error_code error;
  bj::parse_options options;
  options.max_depth = json::Reader::kDepthMax;
  bj::value value = bj::parse(bj::string_view(body.data(), body.size()), error, {}, options);
  if (error) return BadJson("failed to parse the request JSON buffer: " + error.message());
  if (!value.is_object()) return bj::object();
  return std::move(value.as_object());
}

Result<bool> Flag(const bj::value& value) {
  if (!value.is_bool()) return WrongType("boolean", "boolean");
  return value.as_bool();
}

// Blocking calls of the model service, waited for.
class Waiter {
 public:
  explicit Waiter(net::Executor home) : answer_(home) {}
  ModelService::Done done() {
    return [done = answer_.completer()](Result<Nothing> result) { done(std::move(result)); };
  }
  net::Task<Nothing> Wait() { return answer_.Wait(); }

 private:
  net::OneShot<Nothing> answer_;
};

}  // namespace

net::Task<Nothing> V2Api::Index(Call& call) {
  CO_TRY(net::Body body, co_await call.exchange.ReadBody(options_.json_body_bytes_max));
  CO_TRY(bj::object document, Document(body.size == 0 ? "{}" : body.view()));
  bool ready = false;
  if (const bj::value* value = document.if_contains("ready")) {
    CO_TRY(ready, Flag(*value));
  }
  co_return co_await RespondJson200(call.exchange, kserve::RenderIndex(models_.Index(ready)));
}

net::Task<Nothing> V2Api::Load(Call& call) {
  CO_TRY(net::Body body, co_await call.exchange.ReadBody(options_.binary_body_bytes_max));
  CO_TRY(bj::object document, Document(body.size == 0 ? "{}" : body.view()));
  LoadOptions options;
  if (const bj::value* parameters = document.if_contains("parameters")) {
    if (!parameters->is_object()) co_return WrongType("object", "object");
    for (const auto& [key, value] : parameters->as_object()) {
      std::string_view name(key.data(), key.size());
      if (name != "config" && !name.starts_with("file:")) co_return BadJson("unexpected error on creating Triton parameter");
      if (!value.is_string()) co_return WrongType("string", "string");
      std::string_view text(value.as_string().data(), value.as_string().size());
      if (name == "config") {
        options.config_json = std::string(text);
      } else {
        CO_TRY(std::string content, codec::DecodeBase64(text));
        options.files.emplace_back(std::string(name.substr(5)), std::move(content));
      }
    }
  }
  Waiter waiter(call.exchange.executor());
  models_.Load(std::string(call.Param("model")), std::move(options), waiter.done());
  CO_TRY_DO(co_await waiter.Wait());
  co_return co_await RespondJson200(call.exchange, "");
}

net::Task<Nothing> V2Api::Unload(Call& call) {
  CO_TRY(net::Body body, co_await call.exchange.ReadBody(options_.json_body_bytes_max));
  CO_TRY(bj::object document, Document(body.size == 0 ? "{}" : body.view()));
  bool dependents = false;
  if (const bj::value* parameters = document.if_contains("parameters"); parameters && parameters->is_object()) {
    if (const bj::value* value = parameters->as_object().if_contains("unload_dependents")) {
      CO_TRY(dependents, Flag(*value));
    }
  }
  Waiter waiter(call.exchange.executor());
  models_.Unload(std::string(call.Param("model")), dependents, waiter.done());
  CO_TRY_DO(co_await waiter.Wait());
  co_return co_await RespondJson200(call.exchange, "");
}

net::Task<Nothing> V2Api::NamedRepository(Call&) {
  co_return Error(Code::kUnsupported, "'repository_name' specification is not supported", "named_repository");
}

net::Task<Nothing> V2Api::SystemSharedMemory(Call& call) {
  co_return co_await RespondJson200(call.exchange, "[]");
}
net::Task<Nothing> V2Api::CudaSharedMemory(Call& call) {
  co_return co_await RespondJson200(call.exchange, "[]");
}

net::Task<Nothing> V2Api::RegionStatus(Call& call) {
  std::string_view kind = call.exchange.path().starts_with("/v2/system") ? "system" : "cuda";
  co_return Error(Code::kNotFound, fmt::format("Unable to find {} shared memory region: '{}'", kind, call.Param("region")), "no_region");
}

// The fields are checked first, so that a broken call hears what is broken.
net::Task<Nothing> V2Api::Register(Call& call) {
  CO_TRY(net::Body body, co_await call.exchange.ReadBody(options_.json_body_bytes_max));
  CO_TRY(bj::object document, Document(body.size == 0 ? "{}" : body.view()));
  bool system = call.exchange.path().starts_with("/v2/system");
  const char* first = system ? "key" : "raw_handle";
  for (const char* field : {first, "byte_size"}) {
    if (!document.contains(field))
      co_return Error(Code::kInvalidArgument, fmt::format("Shared memory register request has no '{}' field", field), "bad_request");
  }
  if (system && !document.at("key").is_string()) co_return WrongType("string", "string");
  co_return Error(Code::kUnsupported, "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.",
                  "shm_disabled");
}

net::Task<Nothing> V2Api::Unregister(Call& call) {
  co_return co_await RespondJson200(call.exchange, "");
}

net::Task<Nothing> V2Api::TraceSetting(Call& call) {
  std::string model(call.Param("model"));
  if (!model.empty() && !models_.Find(ModelRef{model, -1}))
    co_return Error(Code::kInvalidArgument, fmt::format("Request for unknown model : {}", model), "bad_request");
  if (call.exchange.method() == net::Method::kPost) {
    CO_TRY(net::Body body, co_await call.exchange.ReadBody(options_.json_body_bytes_max));
    CO_TRY_DO(trace_.Apply(model, body.view()));
  }
  co_return co_await RespondJson200(call.exchange, trace_.Render(model));
}

net::Task<Nothing> V2Api::Logging(Call& call) {
  LogConfig log;
  {
    std::lock_guard lock(log_mutex_);
    log = log_;
  }
  if (call.exchange.method() == net::Method::kPost) {
    CO_TRY(net::Body body, co_await call.exchange.ReadBody(options_.json_body_bytes_max));
    CO_TRY(bj::object document, Document(body.view()));
    if (document.if_contains("log_file"))
      co_return Error(Code::kUnsupported, "log file location can not be updated through network protocol", "log_file");
    for (auto [name, field] : {std::pair{"log_info", &LogConfig::info}, std::pair{"log_warning", &LogConfig::warning},
                               std::pair{"log_error", &LogConfig::error}}) {
      if (const bj::value* value = document.if_contains(name)) {
        CO_TRY(log.*field, Flag(*value));
      }
    }
    if (const bj::value* value = document.if_contains("log_verbose_level")) {
      if (!value->is_int64() || value->as_int64() < 0) co_return WrongType("unsigned-integer", "unsigned-integer");
      log.verbose = static_cast<int>(value->as_int64());
    }
    if (const bj::value* value = document.if_contains("log_format")) {
      if (!value->is_string()) co_return WrongType("string", "string");
      std::string text(value->as_string().data(), value->as_string().size());
      if (text != "default" && text != "ISO8601")
        co_return Error(Code::kUnavailable, fmt::format("invalid argument for --log_format, got: {}", text), "log_format");
      log.iso8601 = text == "ISO8601";
    }
    std::lock_guard lock(log_mutex_);
    log_ = log;
    log::Configure({log.info, log.warning, log.error, log.verbose, log.file, log.iso8601});
  }
  std::string out = "{\"log_file\":";
  json::AppendString(out, log.file);
  out += fmt::format(R"(,"log_info":{},"log_warning":{},"log_error":{},"log_verbose_level":{},"log_format":"{}"}})", log.info, log.warning,
                     log.error, log.verbose, log.iso8601 ? "ISO8601" : "default");
  co_return co_await RespondJson200(call.exchange, std::move(out));
}

}  // namespace nereid::http

// A model of a provider that speaks the OpenAI dialect: the request goes out as the bytes that came, with the model renamed; the answer
// comes back as the bytes that the provider sent, with the public name in place of its own.
#pragma once

#include <memory>
#include <string>

#include "api/target.h"
#include "config/config.h"
#include "net/http_client.h"

namespace nereid::providers {

// What the targets of one provider share.
struct Provider {
  std::string name;
  net::Origin origin;
  std::string path;  // of the base URL
  std::vector<SecretRef> keys;
  Millis stream_timeout{1'800'000};
  std::size_t response_bytes_max = 64 << 20;
};
// Errors name what is wrong in the provider's configuration.
Result<std::shared_ptr<const Provider>> MakeProvider(const ProviderConfig& config);

class OpenAiTarget final : public Target {
 public:
  // `client` outlives the target.
  OpenAiTarget(std::shared_ptr<const Provider> provider, std::string model, Price cost, net::HttpClient& client);

  std::string_view name() const override { return name_; }
  const Price& cost() const override { return cost_; }
  net::Task<Outcome> Run(const TargetRequest& request, ResponseSink& sink) override;

 private:
  net::Task<Outcome> RelayWhole(net::UpstreamAnswer& answer, Started started, const TargetRequest& request, ResponseSink& sink);
  net::Task<Outcome> RelayStream(net::UpstreamAnswer& answer, Started started, const TargetRequest& request, ResponseSink& sink);
  Outcome Failed(Status failure, const TargetRequest& request, bool sent) const;

  const std::shared_ptr<const Provider> provider_;
  const std::string model_json_;  // the provider's name for it, as a JSON string
  const std::string name_;
  const Price cost_;
  net::HttpClient& client_;
};

}  // namespace nereid::providers

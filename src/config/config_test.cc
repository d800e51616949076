#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "config/flags.h"
#include "config/set.h"
#include "config/text.h"

namespace nereid {
namespace {

Result<ServeOptions> Nereid(const std::vector<std::string>& arguments) {
  return ParseFlags(arguments, false);
}
Result<ServeOptions> Triton(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "--model-repository=/srv/models");
  return ParseFlags(arguments, true);
}
Result<Nothing> Checked(const std::string& yaml) {
  auto config = ParseConfig(yaml, Config{}, "nereid.yaml");
  if (!config) return std::unexpected(config.error());
  return CheckConfig(*config);
}
std::string WriteTemporary(const std::string& name, const std::string& text) {
  std::string path = (std::filesystem::temp_directory_path() / fmt::format("nereid_config_test_{}_{}", ::getpid(), name)).string();
  std::ofstream(path) << text;
  return path;
}

TEST(Flags, NereidListensOnLoopbackAndTritonEverywhere) {
  EXPECT_EQ(Nereid({})->config.server.http.address, "127.0.0.1");
  EXPECT_EQ(Nereid({})->config.server.auth.v2, std::nullopt);
  EXPECT_EQ(Triton({})->config.server.http.address, "0.0.0.0");
  EXPECT_EQ(Triton({})->config.server.grpc.address, "0.0.0.0");
  EXPECT_EQ(Triton({})->config.server.auth.v2, V2Auth::kOpen);
}

TEST(Flags, ValueMayFollowAfterEqualsOrAsTheNextArgument) {
  EXPECT_EQ(Nereid({"--http-port=9000"})->config.server.http.port, 9000);
  EXPECT_EQ(Nereid({"--http-port", "9000"})->config.server.http.port, 9000);
  EXPECT_EQ(Nereid({"--http-port"}).error().message, "error: option '--http-port' requires an argument\nsee nereid serve --help");
}

TEST(Flags, LastOfARepeatedScalarWinsAndListsGrow) {
  auto options = Nereid({"--http-port=1", "--http-port=2", "--model-repository=/a", "--model-store=/b"});
  EXPECT_EQ(options->config.server.http.port, 2);
  EXPECT_EQ(options->config.models.repositories, (std::vector<std::string>{"/a", "/b"}));
}

TEST(Flags, BooleansAreSpelledAsTritonTakesThem) {
  for (const char* yes : {"true", "True", "ON", "1"})
    EXPECT_TRUE(Nereid({fmt::format("--allow-http={}", yes)})->config.server.http.enabled) << yes;
  for (const char* no : {"false", "FALSE", "off", "0"})
    EXPECT_FALSE(Nereid({fmt::format("--allow-http={}", no)})->config.server.http.enabled) << no;
  EXPECT_FALSE(Nereid({"--allow-http=yes"}));
}

TEST(Flags, LogVerboseIsABooleanOrALevel) {
  EXPECT_EQ(Nereid({"--log-verbose=true"})->config.log.verbose, 1);
  EXPECT_EQ(Nereid({"--log-verbose=3"})->config.log.verbose, 3);
}

TEST(Flags, UnknownOneNamesTheNearest) {
  EXPECT_EQ(Nereid({"--htp-port=1"}).error().message,
            "error: unrecognized option '--htp-port', did you mean '--http-port'?\nsee nereid serve --help");
}

TEST(Flags, UnambiguousBeginningOfANameIsTaken) {
  EXPECT_EQ(Nereid({"--model-repo=/a"})->config.models.repositories, std::vector<std::string>{"/a"});
  EXPECT_FALSE(Nereid({"--model=/a"}));
}

TEST(Flags, OverrideTheFileByTheSamePathsAndReplaceItsLists) {
  std::string file = WriteTemporary("a.yaml", "server: {http: {port: 9000, address: 0.0.0.0}}\nmodels: {repositories: [/file]}\n");
  auto options = Nereid({"--model-repository=/flag", "--http-port=9001", "--config=" + file, "--set=server.http.idle_timeout_ms=5"});
  std::filesystem::remove(file);
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->config.server.http.port, 9001);
  EXPECT_EQ(options->config.server.http.address, "0.0.0.0");
  EXPECT_EQ(options->config.server.http.idle_timeout_ms, 5);
  EXPECT_EQ(options->config.models.repositories, std::vector<std::string>{"/flag"});
}

TEST(Flags, MissingConfigurationFileIsNamed) {
  EXPECT_EQ(Nereid({"--config=/no/such.yaml"}).error().message, "error: cannot read the configuration file /no/such.yaml");
}

TEST(Flags, WithoutEffectWarnOnceEach) {
  EXPECT_EQ(Triton({"--allow-gpu-metrics=false", "--allow-gpu-metrics=true"})->warnings.size(), 1u);
  EXPECT_TRUE(Triton({"--http-port=1"})->warnings.empty());
}

TEST(Flags, ASettingWithoutEffectIsNamedWhereverItWasSet) {
  EXPECT_EQ(Triton({"--model-control-mode=poll"})->warnings,
            std::vector<std::string>{
                "models.control: poll, which reads the repository once as none does, is accepted and has no effect in this version"});
  EXPECT_EQ(Triton({"--repository-poll-secs=3"})->warnings,
            std::vector<std::string>{"models.poll_s is accepted and has no effect in this version"});
  EXPECT_TRUE(WithoutEffect(Config{}).empty());
  Config config;
  config.server.trusted_proxies = {"10.0.0.0/8"};
  PublicModelConfig model{.name = "a", .fallbacks = {"b"}, .max_output_tokens = 5};
  model.targets.push_back({.provider = "p", .model = "m", .weight = 2});
  config.public_models.push_back(model);
  EXPECT_EQ(WithoutEffect(config),
            (std::vector<std::string>{"server.trusted_proxies", "public_models.a.fallbacks",
                                      "public_models.a.max_output_tokens, at targets of providers,", "public_models.a.targets.weight"}));
}

TEST(Flags, NegativePortIsRefused) {
  EXPECT_FALSE(Triton({"--http-port=-1"}));
}

TEST(Flags, RestrictedProtocolSplitsIntoCategoriesAndHeader) {
  auto options = Triton({"--grpc-restricted-protocol=model-repository,model-config:admin-key=secret=1"});
  ASSERT_TRUE(options);
  const RestrictedApi& rule = options->config.server.grpc.restricted.at(0);
  EXPECT_EQ(rule.categories, (std::vector<std::string>{"model-repository", "model-config"}));
  EXPECT_EQ(rule.header, "admin-key");
  EXPECT_EQ(rule.value, "secret=1");
  EXPECT_EQ(PrintConfig(options->config).find("secret=1"), std::string::npos);
}

TEST(Flags, CategoryInTwoRestrictedGroupsIsRefused) {
  auto options = Triton({"--http-restricted-api=health:a=b", "--http-restricted-api=health:c=d"});
  EXPECT_TRUE(options.error().message.ends_with("restricted api 'health' can not be specified in multiple config groups"));
}

TEST(SetPath, UnknownPathIsAnError) {
  Config config;
  EXPECT_EQ(config::SetPath(config, "server.http.nope", "1").error().message, "server.http.nope: no such setting");
  EXPECT_EQ(config::SetPath(config, "server.http", "1").error().message, "server.http: no such setting");
}

TEST(CheckConfig, DanglingNamesAreErrors) {
  EXPECT_EQ(Checked("public_models: {a: {targets: [{provider: x, model: m}]}}").error().message,
            "public_models.a.targets[0].provider: 'x' is not among the providers");
  EXPECT_EQ(Checked("public_models: {a: {targets: [{model: m}], fallbacks: [b]}}").error().message,
            "public_models.a.fallbacks: 'b' is not among the public models");
  EXPECT_EQ(Checked("public_models: {a: {}}").error().message, "public_models.a.targets: a public model needs at least one target");
  EXPECT_EQ(Checked("providers: {a: {base_url: 'ftp://x'}}").error().message,
            "providers.a.base_url: 'ftp://x' must begin with http:// or https://");
}

TEST(CheckConfig, SamePortTwiceIsAnErrorUnlessItIsZero) {
  EXPECT_FALSE(Checked("server: {http: {port: 7000}, metrics: {port: 7000}}"));
  EXPECT_TRUE(Checked("server: {http: {port: 0}, grpc: {port: 0}, metrics: {port: 0}}"));
}

TEST(CheckConfig, TlsNeedsCertificateAndKey) {
  EXPECT_FALSE(Checked("server: {tls: {certificate_file: a}}"));
  EXPECT_FALSE(Checked("server: {grpc: {tls: true}}"));
}

TEST(ReadSecret, ComesFromTheEnvironmentOrAFileWithoutItsLineEnd) {
  ::setenv("NEREID_CONFIG_TEST_SECRET", "s1", 1);
  EXPECT_EQ(ReadSecret({"env:NEREID_CONFIG_TEST_SECRET"}), "s1");
  std::string file = WriteTemporary("secret", "s2\n");
  EXPECT_EQ(ReadSecret({"file:" + file}), "s2");
  std::filesystem::remove(file);
}

TEST(ReadSecret, ErrorsNameTheReferenceAndNeverAValue) {
  EXPECT_EQ(ReadSecret({"env:NEREID_NO_SUCH_SECRET"}).error().message, "the secret env:NEREID_NO_SUCH_SECRET is not set");
  EXPECT_FALSE(ReadSecret({"file:/no/such/file"}));
  EXPECT_EQ(ReadSecret({"sk-live-1"}).error().message.find("sk-live-1"), std::string::npos);
  ::setenv("NEREID_CONFIG_TEST_SECRET", "a\r\nEvil: 1", 1);
  EXPECT_FALSE(ReadSecret({"env:NEREID_CONFIG_TEST_SECRET"}));
}

TEST(PriceText, KeepsTheDigitsThatCount) {
  EXPECT_EQ(config::PriceText(420'000'000), "0.42");
  EXPECT_EQ(config::PriceText(15'000'000'000), "15");
  EXPECT_EQ(config::PriceText(0), "0");
}

}  // namespace
}  // namespace nereid

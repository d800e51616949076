// What configurations and flags say: options, rules for outputs, variables of workers.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "backends/python/environment.h"
#include "backends/python/options.h"
#include "backends/python/output_rules.h"
#include "proto/model_config.pb.h"

namespace nereid::python {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMemory = 8ull << 30;

inference::ModelConfig Config(const std::string& text) {
  inference::ModelConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("name: \"m\" " + text, &config));
  return config;
}

TEST(Options, MeanWhatTheyMeanInTriton) {
  auto options = Options::Parse({{"shm-default-byte-size", "33554432"},
                                 {"shm-growth-byte-size", "65536"},
                                 {"shm-region-prefix-name", "mine"},
                                 {"stub-timeout-seconds", "7"},
                                 {"thread-pool-size", "4"},
                                 {"backend-directory", "/x"}},
                                kMemory);
  ASSERT_TRUE(options);
  EXPECT_EQ(options->sizes.initial, 33554432u);
  EXPECT_EQ(options->sizes.growth, 65536u);
  EXPECT_EQ(options->sizes.most, kMemory / 2);
  EXPECT_EQ(options->region_prefix, "mine");
  EXPECT_EQ(options->stub_limit, 7s);
}

TEST(Options, RefuseNonsenseByTheName) {
  for (auto [name, value] : {std::pair{"shm-default-byte-size", "1"},
                             {"shm-default-byte-size", "1e9"},
                             {"shm-growth-byte-size", "-1"},
                             {"stub-timeout-seconds", "0"},
                             {"execute-timeout-seconds", ""},
                             {"check-outputs", "perhaps"}}) {
    auto options = Options::Parse({{name, value}}, kMemory);
    ASSERT_FALSE(options) << name;
    EXPECT_NE(options.error().message.find(name), std::string::npos);
  }
}

TEST(Options, AModelsParametersGoFirst) {
  auto options = Options::Parse({{"execute-timeout-seconds", "5"}}, kMemory)
                     ->WithParametersOf(Config("parameters { key: \"EXECUTE_TIMEOUT_SECONDS\" value { string_value: \"9\" } } "
                                               "parameters { key: \"CHECK_OUTPUTS\" value { string_value: \"no\" } }"));
  ASSERT_TRUE(options);
  EXPECT_EQ(options->execute_limit, 9s);
  EXPECT_FALSE(options->check_outputs);
  auto bad = Options().WithParametersOf(Config("parameters { key: \"MEMORY_LIMIT_BYTES\" value { string_value: \"lots\" } }"));
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("MEMORY_LIMIT_BYTES is 'lots'"), std::string::npos);
}

// Whether an output of that datatype and shape is right for `config`.
bool Right(const std::string& config, Datatype datatype, Shape shape, bool check = true) {
  return OutputRules(Config(config), check).Check({{"OUT", datatype, std::move(shape), {}}}).has_value();
}

TEST(OutputRules, HoldOutputsAgainstTheConfiguration) {
  std::string fixed = "output { name: \"OUT\" data_type: TYPE_INT32 dims: [ 2, -1 ] }", batched = "max_batch_size: 4 " + fixed;
  EXPECT_TRUE(Right(fixed, Datatype::kInt32, {2, 7}));
  EXPECT_FALSE(Right(fixed, Datatype::kInt64, {2, 7}));
  EXPECT_FALSE(Right(fixed, Datatype::kInt32, {3, 7}));
  EXPECT_FALSE(Right(fixed, Datatype::kInt32, {2}));
  EXPECT_TRUE(Right(fixed, Datatype::kFp64, {9}, false));
  EXPECT_TRUE(Right(batched, Datatype::kInt32, {3, 2, 1}));
  EXPECT_FALSE(Right(batched, Datatype::kInt32, {2, 1}));
  EXPECT_TRUE(Right("output { name: \"OUT\" data_type: TYPE_INT32 dims: [ 1 ] reshape { shape: [ ] } }", Datatype::kInt32, {}));
  EXPECT_TRUE(Right("output { name: \"OTHER\" data_type: TYPE_INT32 dims: [ 1 ] }", Datatype::kFp32, {5}));
}

std::string ValueOf(const std::vector<std::string>& variables, const std::string& name) {
  for (const std::string& each : variables) {
    if (each.starts_with(name + "=")) return each.substr(name.size() + 1);
  }
  return "<none>";
}

TEST(WorkerVariables, PutTheEnvironmentFirstAndLeaveSecretsOut) {
  ::setenv("PYTHONPATH", "/mine", 1);
  ::setenv("NEREID_TEST_SECRET", "sk", 1);
  ::setenv("NEREID_TEST_PLAIN", "yes", 1);
  auto plain = WorkerVariables("/worker", {"python3", {}, nullptr}, {"NEREID_TEST_SECRET"});
  EXPECT_EQ(ValueOf(plain, "PYTHONPATH"), "/worker:/mine");
  EXPECT_EQ(ValueOf(plain, "NEREID_TEST_SECRET"), "<none>");
  EXPECT_EQ(ValueOf(plain, "NEREID_TEST_PLAIN"), "yes");
  EXPECT_EQ(ValueOf(plain, "VIRTUAL_ENV"), "<none>");
  auto virtual_one = WorkerVariables("/worker", {"/env/bin/python3", "/env", nullptr}, {});
  EXPECT_EQ(ValueOf(virtual_one, "VIRTUAL_ENV"), "/env");
  EXPECT_TRUE(ValueOf(virtual_one, "PATH").starts_with("/env/bin:"));
  EXPECT_TRUE(ValueOf(virtual_one, "LD_LIBRARY_PATH").starts_with("/env/lib"));
  ::unsetenv("PYTHONPATH");
}

}  // namespace
}  // namespace nereid::python

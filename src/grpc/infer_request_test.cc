#include "grpc/infer_request.h"

#include <gtest/gtest.h>

#include "grpc/infer_response.h"
#include "proto/grpc_service.pb.h"

namespace nereid::grpc_front {
namespace {

using inference::ModelInferRequest;

ModelInferRequest Message(const std::string& datatype = "INT32") {
  ModelInferRequest message;
  message.set_model_name("m");
  auto* input = message.add_inputs();
  input->set_name("IN");
  input->set_datatype(datatype);
  input->add_shape(1);
  return message;
}

Result<ParsedRequest> Parse(const Bytes& bytes) {
  RequestReader reader;
  TRY_DO(reader.Open(bytes));
  return reader.Take();
}
Result<ParsedRequest> Parse(const ModelInferRequest& message) {
  return Parse(Bytes::Own(message.SerializeAsString()));
}
std::string Refusal(const ModelInferRequest& message) {
  auto parsed = Parse(message);
  return parsed ? "accepted" : parsed.error().message;
}
std::string Tensor0(const Result<ParsedRequest>& parsed) {
  return std::string(parsed->request.inputs.at(0).data.view());
}

TEST(RequestReader, TensorBytesStayWhereTheyLie) {
  ModelInferRequest message = Message("UINT8");
  message.add_raw_input_contents(std::string(5000, 'x'));
  Bytes bytes = Bytes::Own(message.SerializeAsString());
  auto parsed = Parse(bytes);
  ASSERT_TRUE(parsed);
  const char* data = parsed->request.inputs.at(0).data.data();
  EXPECT_TRUE(data >= bytes.data() && data < bytes.data() + bytes.size());
}

TEST(RequestReader, ElementsAreAlignedWhateverTheirPlaceInTheMessage) {
  for (std::size_t id = 0; id < 8; ++id) {
    ModelInferRequest message = Message("FP64");
    message.set_id(std::string(id, 'i'));
    message.add_raw_input_contents(std::string(800, 'x'));
    auto parsed = Parse(message);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(parsed->request.inputs.at(0).data.data()) % 8, 0u);
  }
}

TEST(RequestReader, EveryCutOfAMessageIsRefusedOrRead) {
  ModelInferRequest message = Message();
  message.set_id("abc");
  message.add_raw_input_contents("12345678");
  std::string bytes = message.SerializeAsString();
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    RequestReader reader;
    auto opened = reader.Open(Bytes::Own(bytes.substr(0, cut)));
    if (opened) (void)reader.Take();
    else EXPECT_EQ(opened.error().code, Code::kInvalidArgument);
  }
}

TEST(RequestReader, LengthBeyondTheMessageIsRefused) {
  auto parsed = Parse(Bytes::Own(std::string("\x3a\xff\xff\xff\xff\x07", 6)));
  EXPECT_EQ(parsed.error().message, "malformed message");
}

TEST(RequestReader, TypedContentsBecomeWireForm) {
  ModelInferRequest small = Message("INT8");
  small.mutable_inputs(0)->mutable_contents()->add_int_contents(-2);
  EXPECT_EQ(Tensor0(Parse(small)), "\xfe");
  ModelInferRequest text = Message("BYTES");
  text.mutable_inputs(0)->mutable_contents()->add_bytes_contents("hi");
  EXPECT_EQ(Tensor0(Parse(text)), std::string("\x02\0\0\0hi", 6));
}

TEST(RequestReader, ContentsOfTheWrongKindAreNamed) {
  ModelInferRequest message = Message("FP32");
  message.mutable_inputs(0)->mutable_contents()->add_int_contents(1);
  EXPECT_EQ(Refusal(message),
            "unexpected explicit tensor data for input tensor 'IN' for model 'm' of type 'INT32', expected datatype 'FP32'");
  ModelInferRequest twice = Message("INT32");
  twice.mutable_inputs(0)->mutable_contents()->add_int_contents(1);
  twice.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  EXPECT_EQ(Refusal(twice), "unexpected explicit tensor data for input tensor 'IN' for model 'm', binary data was already supplied.");
}

TEST(RequestReader, ValueThatDoesNotFitItsDatatypeIsRefused) {
  ModelInferRequest message = Message("UINT8");
  message.mutable_inputs(0)->mutable_contents()->add_uint_contents(300);
  EXPECT_EQ(Refusal(message), "value 300 of input tensor 'IN' for model 'm' does not fit in UINT8");
}

TEST(RequestReader, RawAndTypedContentsExcludeEachOther) {
  ModelInferRequest message = Message();
  message.mutable_inputs(0)->mutable_contents()->add_int_contents(1);
  message.add_raw_input_contents("1234");
  EXPECT_EQ(Refusal(message), "contents field must not be specified when using raw_input_contents for 'IN' for model 'm'");
}

TEST(RequestReader, InputWithoutDataIsNamed) {
  EXPECT_EQ(Refusal(Message()), "unable to find data for input tensor 'IN' for model 'm' in request.");
}

TEST(RequestReader, ReservedParametersLeaveTheMap) {
  ModelInferRequest message = Message();
  message.add_raw_input_contents("1234");
  auto& parameters = *message.mutable_parameters();
  parameters["sequence_id"].set_string_param("s");
  parameters["sequence_start"].set_bool_param(true);
  parameters["priority"].set_uint64_param(3);
  parameters["timeout"].set_int64_param(9);
  parameters["mine"].set_double_param(1.5);
  auto parsed = Parse(message);
  ASSERT_TRUE(parsed) << parsed.error().message;
  const InferRequest& request = parsed->request;
  EXPECT_EQ(std::get<std::string>(request.correlation_id), "s");
  EXPECT_TRUE(request.sequence_start);
  EXPECT_EQ(request.priority, 3u);
  EXPECT_EQ(request.timeout_us, 9u);
  EXPECT_EQ(request.parameters, (Parameters{{"mine", 1.5}}));
}

TEST(RequestReader, ParametersOfTheWrongTypeAreRefusedInTritonsWords) {
  auto refusal = [](const std::string& key, auto set) {
    ModelInferRequest message = Message();
    message.add_raw_input_contents("1234");
    set((*message.mutable_parameters())[key]);
    return Refusal(message);
  };
  auto flag = [](inference::InferParameter& p) { p.set_bool_param(true); };
  auto unsigned_number = [](inference::InferParameter& p) { p.set_uint64_param(1); };
  EXPECT_EQ(refusal("sequence_id", flag), "invalid value type for 'sequence_id' parameter, expected int64_param or string_param.");
  EXPECT_EQ(refusal("u", unsigned_number), "invalid value type for 'u' parameter, expected int64_param, bool_param, or string_param.");
  EXPECT_EQ(refusal("e", [](inference::InferParameter&) {}),
            "invalid value type for 'e' parameter, expected int64_param, bool_param, or string_param.");
  EXPECT_TRUE(refusal("triton_x", flag).starts_with("parameter keys starting with 'triton_' are reserved"));
}

TEST(RequestReader, ClassificationIsForPositiveIntegersOnly) {
  ModelInferRequest message = Message();
  message.add_raw_input_contents("1234");
  auto* output = message.add_outputs();
  output->set_name("OUT");
  auto& parameter = (*output->mutable_parameters())["classification"];
  parameter.set_int64_param(0);
  EXPECT_EQ(Refusal(message), "invalid value for 'classification' parameter, expected >= 0");
  parameter.set_string_param("2");
  EXPECT_EQ(Refusal(message), "invalid value type for 'classification' parameter, expected int64_param");
  parameter.set_int64_param(2);
  auto parsed = Parse(message);
  EXPECT_EQ(parsed->answer.classifications.at(0).classes, 2);
  EXPECT_EQ(parsed->request.requested_outputs, std::vector<std::string>{"OUT"});
}

TEST(ParseModelRef, VersionIsANumberOrNothing) {
  EXPECT_EQ(ParseModelRef("m", "")->version, -1);
  EXPECT_EQ(ParseModelRef("m", "3")->version, 3);
  EXPECT_EQ(ParseModelRef("m", "abc").error().message,
            "failed to get model version from specified version string 'abc' (details: stol), version should be an integral value > 0");
  EXPECT_FALSE(ParseModelRef("m", "-1"));
  EXPECT_FALSE(ParseModelRef("m", "99999999999999999999"));
}

InferResponse ResponseWith(std::vector<std::size_t> sizes) {
  InferResponse response;
  response.model_name = "m";
  response.model_version = 2;
  for (std::size_t size : sizes)
    response.outputs.push_back({"O", Datatype::kUint8, {static_cast<std::int64_t>(size)}, Bytes::Own(std::string(size, 'y'))});
  return response;
}

// Without the prefix, which says how long the rest is.
std::string Flat(const grpc_front::Message& message) {
  std::string text;
  for (const net::Piece& piece : message.pieces) text += piece.bytes;
  std::string prefix(kPrefixBytes, '\0');
  WritePrefix(prefix.data(), false, text.size() - kPrefixBytes);
  EXPECT_EQ(text.substr(0, kPrefixBytes), prefix);
  return text.substr(kPrefixBytes);
}

TEST(RenderResponse, ReadsBackWithSmallAndLargeOutputsInOrder) {
  for (const std::vector<std::size_t>& sizes :
       std::vector<std::vector<std::size_t>>{{}, {0}, {4}, {4, 5000, 4}, {5000, 5000}, {1024, 1025}}) {
    auto rendered = RenderResponse(ResponseWith(sizes));
    ASSERT_TRUE(rendered);
    inference::ModelInferResponse message;
    ASSERT_TRUE(message.ParseFromString(Flat(*rendered)));
    EXPECT_EQ(message.model_version(), "2");
    ASSERT_EQ(message.raw_output_contents_size(), static_cast<int>(sizes.size()));
    for (std::size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(message.raw_output_contents(static_cast<int>(i)), std::string(sizes[i], 'y'));
    auto streamed = RenderStreamResponse(ResponseWith(sizes), {true});
    inference::ModelStreamInferResponse outer;
    ASSERT_TRUE(streamed && outer.ParseFromString(Flat(*streamed)));
    EXPECT_EQ(outer.infer_response().raw_output_contents_size(), static_cast<int>(sizes.size()));
    EXPECT_TRUE(outer.infer_response().parameters().at("triton_final_response").bool_param());
  }
}

TEST(RenderResponse, LargeOutputIsNotCopied) {
  InferResponse response = ResponseWith({5000});
  const char* data = response.outputs[0].data.data();
  auto rendered = RenderResponse(response);
  ASSERT_TRUE(rendered);
  EXPECT_TRUE(std::ranges::any_of(rendered->pieces, [&](const net::Piece& piece) { return piece.bytes.data() == data; }));
}

TEST(RenderResponse, BeyondTwoGigabytesIsAnError) {
  InferResponse response = ResponseWith({1});
  // Never read: only its size counts.
  response.outputs[0].data = Bytes(nullptr, response.outputs[0].data.data(), std::size_t{1} << 31);
  EXPECT_TRUE(RenderResponse(response).error().message.ends_with("which exceeds gRPC's byte size limit 2147483647."));
}

}  // namespace
}  // namespace nereid::grpc_front

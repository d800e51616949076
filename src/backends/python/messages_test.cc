#include "backends/python/messages.h"

#include <cmath>

#include <gtest/gtest.h>

namespace nereid::python {
namespace {

TEST(Pack, ReadsBackWhatWasWritten) {
  PackWriter writer;
  std::string long_text(300, 'x');
  writer.Array(12)
      .Nil()
      .Bool(true)
      .Bool(false)
      .Int(-1)
      .Int(INT64_MIN)
      .Int(127)
      .Uint(128)
      .Uint(UINT64_MAX)
      .Float(-0.5)
      .Text("")
      .Text(long_text);
  writer.Array(20);
  for (int i = 0; i < 20; ++i) writer.Int(i);
  PackReader reader(writer.bytes());
  EXPECT_EQ(reader.Array(), 12u);
  EXPECT_TRUE(reader.TakeNil());
  EXPECT_FALSE(reader.TakeNil());
  EXPECT_TRUE(reader.Bool());
  EXPECT_FALSE(reader.Bool());
  EXPECT_EQ(reader.Int(), -1);
  EXPECT_EQ(reader.Int(), INT64_MIN);
  EXPECT_EQ(reader.Int(), 127);
  EXPECT_EQ(reader.Uint(), 128u);
  EXPECT_EQ(reader.Uint(), UINT64_MAX);
  EXPECT_EQ(reader.Float(), -0.5);
  EXPECT_EQ(reader.Text(), "");
  EXPECT_EQ(reader.Text(), long_text);
  EXPECT_EQ(reader.Array(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(reader.Int(), i);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.Next(), PackReader::Kind::kEnd);
}

TEST(Pack, StaysNotOkAfterTheFirstValueThatIsNotThere) {
  for (std::string_view bytes : {std::string_view(""), std::string_view("\xdb\xff\xff\xff\xff"), std::string_view("\xdd\xff\xff\xff\xff"),
                                 std::string_view("\xa5xx"), std::string_view("\xc1")}) {
    PackReader reader(bytes);
    EXPECT_EQ(reader.Text(), "");
    EXPECT_FALSE(reader.ok());
    EXPECT_EQ(reader.Array(), 0u);
    EXPECT_EQ(reader.Uint(), 0u);
    EXPECT_EQ(reader.Next(), PackReader::Kind::kEnd);
  }
}

class TensorsTest : public testing::Test {
 protected:
  TensorsTest() { message_.tensors = data_, message_.tensors_size = sizeof data_; }
  // What a worker says of one tensor.
  Result<std::vector<Tensor>> Read(std::uint64_t datatype, std::vector<std::int64_t> shape, std::uint64_t offset, std::uint64_t size) {
    PackWriter writer;
    writer.Array(1).Array(5).Text("OUT").Uint(datatype).Array(shape.size());
    for (std::int64_t dim : shape) writer.Int(dim);
    writer.Uint(offset).Uint(size);
    PackReader reader(writer.bytes());
    return ReadTensors(reader, message_);
  }
  alignas(64) char data_[128] = {};
  Message message_;
};

TEST_F(TensorsTest, AreViewsIntoTheMessage) {
  auto tensors = Read(static_cast<std::uint64_t>(Datatype::kInt32), {2, 3}, 64, 24);
  ASSERT_TRUE(tensors);
  EXPECT_EQ((*tensors)[0].data.data(), data_ + 64);
  EXPECT_EQ((*tensors)[0].shape, (Shape{2, 3}));
}

TEST_F(TensorsTest, AreRefusedWhenTheyLieOutsideOrDoNotAddUp) {
  auto int32 = static_cast<std::uint64_t>(Datatype::kInt32), bytes = static_cast<std::uint64_t>(Datatype::kBytes);
  EXPECT_FALSE(Read(int32, {2}, 0, 12));           // more bytes than elements
  EXPECT_FALSE(Read(int32, {33}, 0, 132));         // past the end
  EXPECT_FALSE(Read(int32, {17}, 64, 68));         // past the end
  EXPECT_FALSE(Read(int32, {1}, 32, 4));           // not aligned
  EXPECT_FALSE(Read(int32, {1}, UINT64_MAX, 4));   // far past the end
  EXPECT_FALSE(Read(int32, {-1}, 0, 4));           // no dim
  EXPECT_FALSE(Read(int32, {1L << 62, 4}, 0, 0));  // overflow
  EXPECT_FALSE(Read(0, {1}, 0, 4));                // no datatype
  EXPECT_FALSE(Read(99, {1}, 0, 4));
  EXPECT_FALSE(Read(bytes, {1}, 64, 65));
  EXPECT_TRUE(Read(int32, {0}, 128, 0));
}

TEST(ParametersJson, GoesThereAndBack) {
  Parameters all{{"b", true}, {"i", std::int64_t{-7}}, {"d", 0.25}, {"s", std::string("ä\"\n")}, {"u", std::uint64_t{UINT64_MAX}}};
  auto back = ReadParametersJson(ParametersJson(all));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, all);
  EXPECT_EQ(ParametersJson({}), "");
  EXPECT_EQ(*ReadParametersJson(""), Parameters{});
  for (std::string_view bad : {"[]", "{\"a\":[1]}", "{\"a\":", "{\"a\":null}"}) EXPECT_FALSE(ReadParametersJson(bad)) << bad;
}

TEST(Codes, AreTritons) {
  for (Code code : {Code::kInternal, Code::kNotFound, Code::kInvalidArgument, Code::kUnavailable, Code::kUnsupported, Code::kConflict,
                    Code::kCancelled})
    EXPECT_EQ(CodeOf(TritonCodeOf(code)), code);
  EXPECT_EQ(CodeOf(99), Code::kInternal);
  EXPECT_EQ(CodeOf(-1), Code::kInternal);
}

TEST(ReadResponse, TellsAnErrorFromOutputs) {
  PackWriter writer;
  writer.Array(3).Array(2).Int(3).Text("no").Text("").Array(0);
  PackReader reader(writer.bytes());
  InferResponse response;
  ASSERT_TRUE(ReadResponse(reader, {}, response));
  ASSERT_TRUE(response.error);
  EXPECT_EQ(response.error->code, Code::kInvalidArgument);
  EXPECT_EQ(response.error->message, "no");
}

// The responses of a batch are read one after another.
TEST(ReadResponse, StandsBehindAResponseWhoseParametersAreRefused) {
  PackWriter writer;
  writer.Array(3).Nil().Text("{\"a\":[]}").Array(0);
  writer.Array(3).Nil().Text("{\"a\":7}").Array(0);
  PackReader reader(writer.bytes());
  InferResponse first, second;
  EXPECT_FALSE(ReadResponse(reader, {}, first));
  ASSERT_TRUE(ReadResponse(reader, {}, second));
  EXPECT_EQ(second.parameters, (Parameters{{"a", std::int64_t{7}}}));
}

}  // namespace
}  // namespace nereid::python

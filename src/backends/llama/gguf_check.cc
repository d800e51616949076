#include "backends/llama/gguf_check.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <system_error>
#include <unordered_set>

#include <fmt/format.h>
#include <ggml.h>
#include <gguf.h>

namespace nereid::llama {
namespace {

constexpr std::uint64_t kKeysMax = 1 << 16, kTensorsMax = 1 << 20, kNameBytesMax = 1 << 16, kLayersMax = 4096;
constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";

std::uint64_t ScalarBytes(std::uint32_t type) {
  switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL: return 1;
    case GGUF_TYPE_UINT16:
    case GGUF_TYPE_INT16: return 2;
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32: return 4;
    case GGUF_TYPE_UINT64:
    case GGUF_TYPE_INT64:
    case GGUF_TYPE_FLOAT64: return 8;
    default: return 0;
  }
}

class Reader {
 public:
  Reader(const std::filesystem::path& file, std::uint64_t size) : file_(file), stream_(file, std::ios::binary), size_(size) {}

  std::unexpected<Status> Broken(std::string_view what) const {
    return Error(Code::kInvalidArgument, fmt::format("{}: not a usable GGUF file: {}", file_.string(), what), "broken_model");
  }
  std::unexpected<Status> Ends() const { return Broken(fmt::format("the file ends too early (it has {} bytes)", size_)); }

  template <class T>
  Result<T> Number() {
    T value{};
    if (sizeof value > size_ - at_ || !stream_.read(reinterpret_cast<char*>(&value), sizeof value)) return Ends();
    at_ += sizeof value;
    return value;
  }

  Result<std::string> Text(std::uint64_t bytes_max) {
    TRY(std::uint64_t bytes, Number<std::uint64_t>());
    if (bytes > size_ - at_) return Ends();
    if (bytes > bytes_max) return Broken(fmt::format("a name of {} bytes", bytes));
    std::string text(bytes, '\0');
    if (!stream_.read(text.data(), static_cast<std::streamsize>(bytes))) return Ends();
    at_ += bytes;
    return text;
  }

  Result<Nothing> Skip(std::uint64_t bytes) {
    if (bytes > size_ - at_) return Ends();
    at_ += bytes;
    stream_.seekg(static_cast<std::streamoff>(at_));
    return Nothing{};
  }

  Result<Nothing> SkipText() {
    TRY(std::uint64_t bytes, Number<std::uint64_t>());
    return Skip(bytes);
  }

  std::uint64_t at() const { return at_; }
  std::uint64_t size() const { return size_; }

 private:
  const std::filesystem::path file_;
  std::ifstream stream_;
  const std::uint64_t size_;
  std::uint64_t at_ = 0;  // never past size_
};

struct Head {
  GgufSummary summary;
  std::uint64_t alignment = GGUF_DEFAULT_ALIGNMENT;
  bool tokenizer = false;
};

// llama.cpp aborts when two tokens have the same text. It reads them as C strings and gives empty ones names of their own.
Result<Nothing> ReadTokens(Reader& in, std::uint64_t count) {
  std::unordered_set<std::string> seen;
  for (std::uint64_t i = 0; i < count; ++i) {
    TRY(std::string token, in.Text(kNameBytesMax));
    token.resize(std::strlen(token.c_str()));
    if (!token.empty() && !seen.insert(std::move(token)).second) return in.Broken(fmt::format("token {} has the text of another token", i));
  }
  return Nothing{};
}

Result<Nothing> ReadArray(Reader& in, const std::string& key) {
  TRY(std::uint32_t type, in.Number<std::uint32_t>());
  TRY(std::uint64_t count, in.Number<std::uint64_t>());
  if (type == GGUF_TYPE_STRING) {
    if (count > in.size() / sizeof(std::uint64_t)) return in.Ends();
    if (key == kTokensKey) return ReadTokens(in, count);
    for (std::uint64_t i = 0; i < count; ++i) TRY_DO(in.SkipText());
    return Nothing{};
  }
  std::uint64_t bytes = ScalarBytes(type);
  if (bytes == 0) return in.Broken(fmt::format("key '{}' is an array of the unknown type {}", key, type));
  if (count > in.size() / bytes) return in.Ends();
  return in.Skip(count * bytes);
}

Result<Nothing> ReadKey(Reader& in, Head& head) {
  TRY(std::string key, in.Text(kNameBytesMax));
  TRY(std::uint32_t type, in.Number<std::uint32_t>());
  if (key == kTokensKey) head.tokenizer = true;
  if (type == GGUF_TYPE_ARRAY) return ReadArray(in, key);
  if (key == "general.architecture") {
    if (type != GGUF_TYPE_STRING) return in.Broken("general.architecture is no string");
    TRY(head.summary.architecture, in.Text(kNameBytesMax));
    return Nothing{};
  }
  if (type == GGUF_TYPE_STRING) return in.SkipText();
  std::uint64_t bytes = ScalarBytes(type);
  if (bytes == 0) return in.Broken(fmt::format("key '{}' has the unknown type {}", key, type));
  bool block_count = key.ends_with(".block_count");
  if (type == GGUF_TYPE_UINT32 && (block_count || key == GGUF_KEY_GENERAL_ALIGNMENT)) {
    TRY(std::uint32_t value, in.Number<std::uint32_t>());
    if (block_count && value > kLayersMax) return in.Broken(fmt::format("{} layers", value));
    if (!block_count && !std::has_single_bit(value)) return in.Broken(fmt::format("the alignment {} is no power of two", value));
    if (!block_count) head.alignment = value;
    return Nothing{};
  }
  if (type == GGUF_TYPE_FLOAT32 && key.ends_with("_epsilon")) {
    TRY(float value, in.Number<float>());
    if (!(value >= 0) || !std::isfinite(value)) return in.Broken(fmt::format("key '{}' is {}", key, value));
    return Nothing{};
  }
  return in.Skip(bytes);
}

Result<std::uint64_t> TensorBytes(Reader& in, const std::string& name) {
  TRY(std::uint32_t dims, in.Number<std::uint32_t>());
  if (dims > GGML_MAX_DIMS) return in.Broken(fmt::format("tensor '{}' has {} dimensions", name, dims));
  std::uint64_t rows = 1, row_elements = 1;
  for (std::uint32_t i = 0; i < dims; ++i) {
    TRY(std::uint64_t dim, in.Number<std::uint64_t>());
    if (dim == 0 || dim > std::numeric_limits<std::uint32_t>::max() ||
        __builtin_mul_overflow(i == 0 ? row_elements : rows, dim, i == 0 ? &row_elements : &rows)) {
      return in.Broken(fmt::format("tensor '{}' has an impossible shape", name));
    }
  }
  TRY(std::uint32_t type, in.Number<std::uint32_t>());
  // Types that were taken out of ggml keep their number and have a block size of 0.
  if (type >= GGML_TYPE_COUNT || ggml_blck_size(static_cast<ggml_type>(type)) == 0) {
    return in.Broken(fmt::format("tensor '{}' has the unknown type {}", name, type));
  }
  auto block = static_cast<std::uint64_t>(ggml_blck_size(static_cast<ggml_type>(type)));
  if (row_elements % block != 0)
    return in.Broken(fmt::format("tensor '{}' has rows of {} elements, not a multiple of {}", name, row_elements, block));
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(row_elements / block * ggml_type_size(static_cast<ggml_type>(type)), rows, &bytes)) {
    return in.Broken(fmt::format("tensor '{}' has an impossible shape", name));
  }
  return bytes;
}

Result<Nothing> ReadTensor(Reader& in, Head& head) {
  TRY(std::string name, in.Text(kNameBytesMax));
  TRY(std::uint64_t bytes, TensorBytes(in, name));
  TRY(std::uint64_t offset, in.Number<std::uint64_t>());
  if (offset % head.alignment != 0) return in.Broken(fmt::format("tensor '{}' is not aligned", name));
  std::uint64_t end = 0;
  if (__builtin_add_overflow(offset, bytes, &end) || end > in.size()) {
    return in.Broken(fmt::format("tensor '{}' lies past the end of the file ({} bytes): it was cut short", name, in.size()));
  }
  head.summary.tensor_bytes = std::max(head.summary.tensor_bytes, end);
  return Nothing{};
}

}  // namespace

Result<GgufSummary> CheckGguf(const std::filesystem::path& file) {
  std::error_code failure;
  std::uint64_t size = std::filesystem::file_size(file, failure);
  if (failure) return Error(Code::kNotFound, fmt::format("{}: {}", file.string(), failure.message()), "broken_model");

  Reader in(file, size);
  TRY(std::uint32_t magic, in.Number<std::uint32_t>());
  if (magic != std::bit_cast<std::uint32_t>(std::array{'G', 'G', 'U', 'F'})) return in.Broken("it does not begin with 'GGUF'");
  TRY(std::uint32_t version, in.Number<std::uint32_t>());
  if (version < 2 || version > GGUF_VERSION) return in.Broken(fmt::format("version {}, known are 2 to {}", version, GGUF_VERSION));

  Head head;
  TRY(head.summary.tensor_count, in.Number<std::uint64_t>());
  TRY(head.summary.key_count, in.Number<std::uint64_t>());
  if (head.summary.tensor_count > kTensorsMax) return in.Broken(fmt::format("{} tensors", head.summary.tensor_count));
  if (head.summary.key_count > kKeysMax) return in.Broken(fmt::format("{} keys", head.summary.key_count));
  for (std::uint64_t i = 0; i < head.summary.key_count; ++i) TRY_DO(ReadKey(in, head));
  for (std::uint64_t i = 0; i < head.summary.tensor_count; ++i) TRY_DO(ReadTensor(in, head));

  if (head.summary.architecture.empty()) return in.Broken("the key general.architecture is missing");
  if (!head.tokenizer) return in.Broken("the key tokenizer.ggml.tokens is missing: not a text model");
  if (head.summary.tensor_count == 0) return in.Broken("it has no tensors");
  std::uint64_t data_start = (in.at() + head.alignment - 1) / head.alignment * head.alignment;
  if (data_start > size || head.summary.tensor_bytes > size - data_start) {
    return in.Broken(
        fmt::format("the tensors need {} bytes, the file has {}: it was cut short", data_start + head.summary.tensor_bytes, size));
  }
  return std::move(head.summary);
}

}  // namespace nereid::llama

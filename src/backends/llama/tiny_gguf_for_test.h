// Writes a tiny random model that llama.cpp loads: architecture llama, 2 layers, 64 wide, byte tokens, context 256.
#pragma once

#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ggml.h>
#include <gguf.h>

namespace nereid::llama {

class TinyGguf {
 public:
  static constexpr int kWidth = 64, kHidden = 128, kHeads = 4, kKvHeads = 2, kLayers = 2, kContext = 256;
  static constexpr std::uint32_t kBos = 1, kEos = 2, kByte0 = 3;  // the token of byte b is kByte0 + b
  static constexpr std::uint32_t kVocabulary = kByte0 + 256 + 41;

  TinyGguf() {
    Key("general.architecture", std::string_view("llama"));
    Key("llama.context_length", std::uint32_t{kContext});
    Key("llama.embedding_length", std::uint32_t{kWidth});
    Key("llama.block_count", std::uint32_t{kLayers});
    Key("llama.feed_forward_length", std::uint32_t{kHidden});
    Key("llama.attention.head_count", std::uint32_t{kHeads});
    Key("llama.attention.head_count_kv", std::uint32_t{kKvHeads});
    Key("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    Key("llama.vocab_size", kVocabulary);
    Key("tokenizer.ggml.model", std::string_view("llama"));
    Key("tokenizer.ggml.bos_token_id", kBos);
    Key("tokenizer.ggml.eos_token_id", kEos);
    Key("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
    Key("tokenizer.ggml.add_space_prefix", false);
    Tokens();
    Tensors();
  }

  // A whole file.
  std::string Bytes() const {
    std::string out = "GGUF";
    Put(out, std::uint32_t{3});
    Put(out, std::uint64_t{tensor_count_});
    Put(out, std::uint64_t{key_count_});
    out += keys_ + tensors_;
    out.resize((out.size() + 31) / 32 * 32);
    return out + data_;
  }
  void Write(const std::string& path) const { std::ofstream(path, std::ios::binary) << Bytes(); }

 private:
  template <class T>
  static void Put(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void Put(std::string& out, std::string_view text) {
    Put(out, std::uint64_t{text.size()});
    out += text;
  }

  template <class T>
  void Key(std::string_view name, T value) {
    ++key_count_;
    Put(keys_, name);
    if constexpr (std::is_same_v<T, std::string_view>) Put(keys_, std::uint32_t{GGUF_TYPE_STRING});
    if constexpr (std::is_same_v<T, std::uint32_t>) Put(keys_, std::uint32_t{GGUF_TYPE_UINT32});
    if constexpr (std::is_same_v<T, float>) Put(keys_, std::uint32_t{GGUF_TYPE_FLOAT32});
    if constexpr (std::is_same_v<T, bool>) Put(keys_, std::uint32_t{GGUF_TYPE_BOOL});
    Put(keys_, value);
  }
  void Array(std::string_view name, gguf_type type) {
    ++key_count_;
    Put(keys_, name);
    Put(keys_, std::uint32_t{GGUF_TYPE_ARRAY});
    Put(keys_, static_cast<std::uint32_t>(type));
    Put(keys_, std::uint64_t{kVocabulary});
  }

  void Tokens() {
    enum : std::int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };
    constexpr char kHex[] = "0123456789ABCDEF";
    std::vector<std::string> texts = {"<unk>", "<s>", "</s>"};
    std::vector<std::int32_t> types = {kUnknown, kControl, kControl};
    for (int byte = 0; byte < 256; ++byte) {
      texts.push_back({'<', '0', 'x', kHex[byte / 16], kHex[byte % 16], '>'});
      types.push_back(kByte);
    }
    for (std::uint32_t i = 0; texts.size() < kVocabulary; ++i) {
      texts.push_back("word" + std::to_string(i));
      types.push_back(kNormal);
    }
    Array("tokenizer.ggml.tokens", GGUF_TYPE_STRING);
    for (const std::string& text : texts) Put(keys_, std::string_view(text));
    Array("tokenizer.ggml.token_type", GGUF_TYPE_INT32);
    for (std::int32_t type : types) Put(keys_, type);
    Array("tokenizer.ggml.scores", GGUF_TYPE_FLOAT32);
    for (std::uint32_t i = 0; i < kVocabulary; ++i) Put(keys_, -static_cast<float>(i));
  }

  void Tensor(std::string_view name, std::vector<std::uint64_t> dims, bool ones = false) {
    ++tensor_count_;
    Put(tensors_, name);
    Put(tensors_, static_cast<std::uint32_t>(dims.size()));
    std::uint64_t elements = 1;
    for (std::uint64_t dim : dims) {
      Put(tensors_, dim);
      elements *= dim;
    }
    Put(tensors_, std::uint32_t{GGML_TYPE_F32});
    Put(tensors_, std::uint64_t{data_.size()});
    for (std::uint64_t i = 0; i < elements; ++i)
      Put(data_, ones ? 1.0f : static_cast<float>(static_cast<int>(random_() % 2001) - 1000) / 4000.0f);
    data_.resize((data_.size() + 31) / 32 * 32);
  }

  void Tensors() {
    constexpr std::uint64_t kKvWidth = kWidth / kHeads * kKvHeads;
    Tensor("token_embd.weight", {kWidth, kVocabulary});
    Tensor("output_norm.weight", {kWidth}, true);
    Tensor("output.weight", {kWidth, kVocabulary});
    for (int layer = 0; layer < kLayers; ++layer) {
      std::string block = "blk." + std::to_string(layer) + ".";
      Tensor(block + "attn_norm.weight", {kWidth}, true);
      Tensor(block + "attn_q.weight", {kWidth, kWidth});
      Tensor(block + "attn_k.weight", {kWidth, kKvWidth});
      Tensor(block + "attn_v.weight", {kWidth, kKvWidth});
      Tensor(block + "attn_output.weight", {kWidth, kWidth});
      Tensor(block + "ffn_norm.weight", {kWidth}, true);
      Tensor(block + "ffn_gate.weight", {kWidth, kHidden});
      Tensor(block + "ffn_up.weight", {kWidth, kHidden});
      Tensor(block + "ffn_down.weight", {kHidden, kWidth});
    }
  }

  std::uint64_t key_count_ = 0, tensor_count_ = 0;
  std::string keys_, tensors_, data_;
  std::mt19937 random_{7};
};

}  // namespace nereid::llama

// A model file in memory: weights and vocabulary.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

struct llama_model;
struct llama_vocab;

namespace nereid::llama {

using Token = std::int32_t;

// Text to tokens and back. Any thread; lives as long as its Weights.
class Vocabulary {
 public:
  explicit Vocabulary(const llama_vocab* vocab);

  // With the model's begin token where it wants one; special tokens written out in the text count as such. Fails on a vocabulary that
  // lacks tokens for some bytes.
  Result<std::vector<Token>> Tokenize(std::string_view text) const;
  // Raw bytes, maybe a part of a character; control tokens are empty.
  std::string Piece(Token token) const;
  std::string Text(std::span<const Token> tokens) const;
  bool EndsGeneration(Token token) const;
  std::int32_t size() const { return size_; }
  // No token stands for more bytes of text.
  std::size_t piece_bytes_max() const { return piece_bytes_max_; }
  // Never to be sampled, says the model.
  std::span<const Token> suppressed() const { return suppressed_; }
  std::span<const Token> end_tokens() const { return end_tokens_; }

 private:
  const llama_vocab* const vocab_;
  const std::int32_t size_;
  std::size_t piece_bytes_max_ = 1;
  std::vector<Token> suppressed_, end_tokens_;  // set once
};

class Weights {
 public:
  // After CheckGguf. On a loader thread; long. Errors name the file and llama.cpp's own error.
  static Result<std::unique_ptr<Weights>> Load(const std::filesystem::path& file);
  ~Weights();

  llama_model* model() const { return model_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }
  int training_context_tokens() const;

 private:
  explicit Weights(llama_model* model);
  llama_model* const model_;
  const Vocabulary vocabulary_;
};

}  // namespace nereid::llama

#include "backends/llama/weights.h"

#include <algorithm>
#include <array>
#include <exception>

#include <fmt/format.h>
#include <llama.h>

#include "backends/llama/runtime.h"

namespace nereid::llama {

Vocabulary::Vocabulary(const llama_vocab* vocab) : vocab_(vocab), size_(llama_vocab_n_tokens(vocab)) {
  for (Token token = 0; token < size_; ++token) {
    piece_bytes_max_ = std::max(piece_bytes_max_, std::string_view(llama_vocab_get_text(vocab_, token)).size());
    if (llama_vocab_is_eog(vocab_, token)) end_tokens_.push_back(token);
  }
  std::int32_t count = 0;
  if (const llama_token* tokens = llama_vocab_get_suppress_tokens(vocab_, &count); tokens != nullptr)
    suppressed_.assign(tokens, tokens + count);
}

Result<std::vector<Token>> Vocabulary::Tokenize(std::string_view text) const {
  constexpr std::size_t kBytesMax = 1 << 30;
  if (text.size() > kBytesMax) return Error(Code::kTooLarge, "the text is too long", "invalid_value");
  try {
    std::vector<Token> tokens(text.size() / 3 + 16);
    for (int round = 0; round < 2; ++round) {
      std::int32_t count = llama_tokenize(vocab_, text.data(), static_cast<std::int32_t>(text.size()), tokens.data(),
                                          static_cast<std::int32_t>(tokens.size()), /*add_special=*/true, /*parse_special=*/true);
      tokens.resize(static_cast<std::size_t>(std::abs(count)));
      if (count >= 0) break;
    }
    return tokens;
  } catch (const std::exception& failure) {
    return Error(Code::kInvalidArgument, "the model's vocabulary has no tokens for this text", "invalid_value", failure.what());
  }
}

std::string Vocabulary::Piece(Token token) const try {
  std::array<char, 64> room;
  std::int32_t size = llama_token_to_piece(vocab_, token, room.data(), room.size(), /*lstrip=*/0, /*special=*/false);
  if (size >= 0) return std::string(room.data(), static_cast<std::size_t>(size));
  std::string piece(static_cast<std::size_t>(-size), '\0');
  size = llama_token_to_piece(vocab_, token, piece.data(), -size, 0, false);
  piece.resize(static_cast<std::size_t>(std::max(size, 0)));
  return piece;
} catch (const std::exception&) {
  return {};  // a byte token whose name is no byte
}

std::string Vocabulary::Text(std::span<const Token> tokens) const {
  std::string text;
  for (Token token : tokens) text += Piece(token);
  return text;
}

bool Vocabulary::EndsGeneration(Token token) const {
  return llama_vocab_is_eog(vocab_, token);
}

Weights::Weights(llama_model* model) : model_(model), vocabulary_(llama_model_get_vocab(model)) {}

Weights::~Weights() {
  llama_model_free(model_);
}

int Weights::training_context_tokens() const {
  return llama_model_n_ctx_train(model_);
}

Result<std::unique_ptr<Weights>> Weights::Load(const std::filesystem::path& file) {
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = 0;
  (void)TakeLlamaError();
  llama_model* model = llama_model_load_from_file(file.c_str(), params);
  if (model == nullptr) {
    return Error(Code::kInvalidArgument, fmt::format("{}: llama.cpp cannot load it: {}", file.string(), TakeLlamaError()), "broken_model");
  }
  auto unusable = [&](std::string_view why) -> Result<std::unique_ptr<Weights>> {
    llama_model_free(model);
    return Error(Code::kUnsupported, fmt::format("{}: {}", file.string(), why), "unsupported_model");
  };
  if (llama_vocab_type(llama_model_get_vocab(model)) == LLAMA_VOCAB_TYPE_NONE) return unusable("the model has no vocabulary");
  if (!llama_model_has_decoder(model) || llama_model_has_encoder(model)) return unusable("only decoder models generate text here");
  return std::unique_ptr<Weights>(new Weights(model));
}

}  // namespace nereid::llama

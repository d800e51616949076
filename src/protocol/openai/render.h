// Answers of local models in the OpenAI dialect: one object, or chunks. Pure; the same events feed both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/request.h"
#include "api/text.h"

namespace nereid::openai {

class Renderer {
 public:
  // `id`: the request's; `model`: the public name.
  Renderer(Operation operation, std::string id, std::int64_t created, std::string model, bool stream, bool include_usage);

  // Text to send now; empty when nothing is (a unary answer is held until Finish).
  std::string Delta(int choice, std::string_view text, std::optional<FinishReason> finish);
  // The rest: the whole object, or the usage chunk and [DONE].
  std::string Finish(const TokenUsage& usage);

 private:
  struct Choice {
    std::string text;
    std::string finish;
    bool begun = false;
  };
  void AppendHead(std::string& out, std::string_view object) const;
  std::string Chunk(int choice, std::string_view text, std::string_view finish, bool role) const;
  Choice& At(int choice);

  const Operation operation_;
  const std::string id_;
  const std::int64_t created_;
  const std::string model_;
  const bool stream_, include_usage_;
  std::vector<Choice> choices_;
};

std::string_view FinishName(FinishReason reason);

struct CatalogueRow {
  std::string_view name, owned_by;
  std::int64_t created;
};
std::string RenderModel(const CatalogueRow& row);
std::string RenderModels(const std::vector<CatalogueRow>& rows);

}  // namespace nereid::openai

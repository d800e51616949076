#include "gateway/router.h"

#include <fmt/format.h>

namespace nereid::gateway {

Result<Asked> Route(const TasksConfig& tasks, std::string_view model, std::string_view task_header) {
  constexpr std::string_view kPrefix = "task:";
  std::string_view task = task_header;
  if (model.starts_with(kPrefix)) {
    task = model.substr(kPrefix.size());
  } else if (model != "auto") {
    return Asked{std::string(model), std::string(task_header)};
  }
  if (auto rule = tasks.rules.find(std::string(task)); rule != tasks.rules.end()) return Asked{rule->second, std::string(task)};
  if (!tasks.otherwise.empty()) return Asked{tasks.otherwise, std::string(task)};
  if (task.empty())
    return Error(Code::kNotFound, "the model 'auto' needs a task in the header X-Task-Type, and no rule says what to take otherwise",
                 "model_not_found");
  return Error(Code::kNotFound, fmt::format("no rule for the task '{}', and none says what to take otherwise", task), "model_not_found");
}

}  // namespace nereid::gateway

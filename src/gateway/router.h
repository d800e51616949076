// Which public model a request means. Pure.
#pragma once

#include <string>
#include <string_view>

#include "config/config.h"

namespace nereid::gateway {

struct Asked {
  std::string model;  // a public model's name
  std::string task;   // for reports
};

// `task:NAME`, then the header when the model is `auto`, then the model as it is. A task without a rule goes to `otherwise`; kNotFound
// when there is none.
Result<Asked> Route(const TasksConfig& tasks, std::string_view model, std::string_view task_header);

}  // namespace nereid::gateway

#include "gateway/router.h"

#include <gtest/gtest.h>

namespace nereid::gateway {
namespace {

const TasksConfig kTasks{{{"code", "gpt"}, {"fast", "flash"}}, "other"};

TEST(Route, TaskPrefixGoesBeforeTheHeader) {
  EXPECT_EQ(Route(kTasks, "task:code", "fast")->model, "gpt");
}
TEST(Route, AutoAsksTheHeader) {
  EXPECT_EQ(Route(kTasks, "auto", "fast")->model, "flash");
}
TEST(Route, AnExplicitModelKeepsTheHeaderAsALabel) {
  auto asked = Route(kTasks, "claude", "fast");
  EXPECT_EQ(asked->model, "claude");
  EXPECT_EQ(asked->task, "fast");
}
TEST(Route, UnknownTasksGoToTheOtherwise) {
  EXPECT_EQ(Route(kTasks, "task:nothing", "")->model, "other");
  EXPECT_EQ(Route({}, "task:nothing", "").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace nereid::gateway

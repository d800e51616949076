#include "cli/bench/recorder.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace nereid::cli {
namespace {

// utime + stime of a stat file: the 14th and 15th field, behind the name in parentheses.
double TicksOf(const std::filesystem::path& stat) {
  std::ifstream file(stat);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::size_t close = text.rfind(')');
  if (close == std::string::npos) return 0;
  std::istringstream fields(text.substr(close + 1));
  std::string word;
  double ticks = 0, value = 0;
  for (int i = 3; i <= 15 && fields >> word; ++i) {
    if (i < 14) continue;
    std::istringstream(word) >> value;
    ticks += value;
  }
  return ticks;
}

}  // namespace

double Samples::Percentile(double p) {
  if (values_.empty()) return 0;
  if (!sorted_) std::sort(values_.begin(), values_.end());
  sorted_ = true;
  auto index = static_cast<std::size_t>(std::llround(p / 100 * static_cast<double>(values_.size() - 1)));
  return static_cast<double>(values_[std::min(index, values_.size() - 1)]);
}

double CpuSecondsOf(int pid, const std::string& prefix) {
  double ticks = 0;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    std::ifstream name_file(task.path() / "comm");
    std::string name;
    std::getline(name_file, name);
    if (name.starts_with(prefix)) ticks += TicksOf(task.path() / "stat");
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double CpuSeconds(int pid, const std::string& except) {
  double all = TicksOf("/proc/" + std::to_string(pid) + "/stat") / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return except.empty() ? all : all - CpuSecondsOf(pid, except);
}

}  // namespace nereid::cli

// A folder of its own for a test, gone with the test.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

namespace nereid::store {

class TestFolder {
 public:
  explicit TestFolder(const std::string& name) {
    path_ = std::filesystem::temp_directory_path() / ("nereid-" + name + "-XXXXXX");
    std::string text = path_.string();
    path_ = ::mkdtemp(text.data());
    std::filesystem::create_directories(path_ / "ledger");
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace nereid::store

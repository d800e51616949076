#include "config/set.h"

#include "config/fields.h"

namespace nereid::config {
namespace {

class Setter {
 public:
  Setter(std::string_view path, std::string_view value) : rest_(path), value_(value) {}

  template <class T>
  void Value(std::string_view key, T& field, const Rule& rule = {}) {
    if (rest_ == key) result_ = FromText(value_, field, rule);
  }
  void Value(std::string_view key, std::vector<std::string>& field) {
    if (rest_ != key) return;
    field.emplace_back(value_);
    result_ = Nothing{};
  }
  void Value(std::string_view, std::map<std::string, std::map<std::string, std::string>>&) {}
  void Value(std::string_view key, std::map<std::string, std::string>& field) {
    if (!Enters(key)) return;
    field[std::string(rest_.substr(key.size() + 1))] = value_;
    result_ = Nothing{};
  }
  template <class T>
  void Struct(std::string_view key, T& sub) {
    if (!Enters(key)) return;
    Setter inner(rest_.substr(key.size() + 1), value_);
    Fields(inner, sub);
    result_ = std::move(inner.result_);
  }
  // What stands in lists has no path that a flag could name.
  template <class T>
  void Named(std::string_view, T&) {}
  template <class T>
  void List(std::string_view, T&) {}
  void Priced(std::string_view, PriceConfig&) {}
  void Secrets(std::string_view, std::vector<SecretRef>&) {}
  template <class T>
  void Money(std::string_view, T&, const Rule& = {}) {}
  void NotYet(std::string_view, std::string_view) {}

  std::optional<Result<Nothing>> result() && { return std::move(result_); }

 private:
  bool Enters(std::string_view key) const { return rest_.size() > key.size() && rest_.starts_with(key) && rest_[key.size()] == '.'; }

  std::string_view rest_, value_;
  std::optional<Result<Nothing>> result_;
};

}  // namespace

Result<Nothing> SetPath(Config& config, std::string_view path, std::string_view value) {
  Setter setter(path, value);
  Fields(setter, config);
  std::optional<Result<Nothing>> result = std::move(setter).result();
  if (!result) return Error(Code::kInvalidArgument, fmt::format("{}: no such setting", path), "bad_config");
  if (!*result) return Error(Code::kInvalidArgument, fmt::format("{}: {}", path, result->error().message), "bad_config");
  return Nothing{};
}

}  // namespace nereid::config

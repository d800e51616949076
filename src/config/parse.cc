// The YAML reader: one visitor of the field table. Stops at the first fault and names file, line and path.
#include <set>

#include <yaml-cpp/yaml.h>

#include "config/fields.h"

namespace nereid {
namespace {

using config::FromText;
using config::Rule;

// Where in the file, and the first fault found.
struct Place {
  std::string file;
  std::optional<Status> fault;

  void Fail(const YAML::Node& node, std::string_view path, std::string_view what) {
    if (fault) return;
    std::string line = node && node.Mark().line >= 0 ? fmt::format(":{}", node.Mark().line + 1) : "";
    fault = Status{Code::kInvalidArgument, fmt::format("{}{}: {}: {}", file, line, path.empty() ? "(top)" : path, what), "bad_config", {}};
  }
};

std::string Join(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

// Key and value pairs in order; a repeated key or one that is no text is a fault.
std::vector<std::pair<std::string, YAML::Node>> Pairs(const YAML::Node& node, std::string_view path, Place& place) {
  std::vector<std::pair<std::string, YAML::Node>> pairs;
  if (node.IsNull()) return pairs;
  if (!node.IsMap()) {
    place.Fail(node, path, "expected a mapping (key: value)");
    return pairs;
  }
  std::set<std::string> seen;
  for (const auto& item : node) {
    if (!item.first.IsScalar()) {
      place.Fail(item.first, path, "a key must be a plain text");
      return pairs;
    }
    if (!seen.insert(item.first.Scalar()).second) place.Fail(item.first, Join(path, item.first.Scalar()), "given twice");
    pairs.emplace_back(item.first.Scalar(), item.second);
  }
  return pairs;
}

class Reader {
 public:
  Reader(const YAML::Node& node, std::string path, Place& place)
      : path_(std::move(path)), place_(place), node_(node), pairs_(Pairs(node, path_, place)) {}

  template <class T>
  void Value(std::string_view key, T& field, const Rule& rule = {}) {
    const YAML::Node* node = Find(key, rule.required);
    if (!node) return;
    if (!node->IsScalar()) return place_.Fail(*node, Join(path_, key), "expected a single value");
    Take(*node, Join(path_, key), FromText(node->Scalar(), field, rule));
  }

  void Value(std::string_view key, std::vector<std::string>& field) {
    const YAML::Node* node = Find(key, false);
    if (!node) return;
    field.clear();
    ForEach(*node, Join(path_, key), [&](const YAML::Node& item, const std::string& path) {
      if (!item.IsScalar()) return place_.Fail(item, path, "expected a text");
      field.push_back(item.Scalar());
    });
  }

  void Value(std::string_view key, std::map<std::string, std::string>& field) {
    const YAML::Node* node = Find(key, false);
    if (!node) return;
    field.clear();
    for (auto& [name, value] : Pairs(*node, Join(path_, key), place_)) {
      if (!value.IsScalar()) return place_.Fail(value, Join(Join(path_, key), name), "expected a text");
      field[name] = value.Scalar();
    }
  }

  void Value(std::string_view key, std::map<std::string, std::map<std::string, std::string>>& field) {
    const YAML::Node* node = Find(key, false);
    if (!node) return;
    field.clear();
    Reader names(*node, Join(path_, key), place_);
    for (auto& [name, value] : names.pairs_) names.Value(name, field[name]);
  }

  template <class T>
  void Struct(std::string_view key, T& sub) {
    const YAML::Node* node = Find(key, false);
    if (node) Read(*node, Join(path_, key), sub);
  }

  void Priced(std::string_view key, PriceConfig& price) {
    if (!Find(key, false)) return;
    price.unpriced = false;
    Struct(key, price);
  }

  template <class T>
  void Named(std::string_view key, std::vector<T>& list) {
    const YAML::Node* node = Find(key, false);
    if (!node) return;
    list.clear();
    for (auto& [name, value] : Pairs(*node, Join(path_, key), place_)) {
      T item;
      item.name = name;
      Read(value, Join(Join(path_, key), name), item);
      list.push_back(std::move(item));
    }
  }

  template <class T>
  void List(std::string_view key, std::vector<T>& list) {
    const YAML::Node* node = Find(key, false);
    if (!node) return;
    list.clear();
    ForEach(*node, Join(path_, key), [&](const YAML::Node& value, const std::string& path) { Read(value, path, list.emplace_back()); });
  }

  void Secrets(std::string_view key, std::vector<SecretRef>& list) {
    const YAML::Node* node = Find(key, false);
    if (!node) return;
    list.clear();
    // The value is not in the message: whoever wrote it here may have written the secret itself.
    constexpr std::string_view kExpected = "expected {env: NAME} or {file: PATH}; a secret itself does not belong here";
    ForEach(*node, Join(path_, key), [&](const YAML::Node& item, const std::string& path) {
      if (!item.IsMap()) return place_.Fail(item, path, kExpected);
      auto pairs = Pairs(item, path, place_);
      if (pairs.size() != 1 || (pairs[0].first != "env" && pairs[0].first != "file") || !pairs[0].second.IsScalar() ||
          pairs[0].second.Scalar().empty())
        return place_.Fail(item, path, kExpected);
      list.push_back({fmt::format("{}:{}", pairs[0].first, pairs[0].second.Scalar())});
    });
  }

  template <class T>
  void Money(std::string_view key, T& price, const Rule& rule = {}) {
    const YAML::Node* node = Find(key, rule.required);
    if (!node) return;
    if (!node->IsScalar()) return place_.Fail(*node, Join(path_, key), "expected a decimal number: USD per million tokens");
    Result<NanoUsdPerMillion> parsed = ParsePricePerMillion(node->Scalar());
    if (!parsed) return place_.Fail(*node, Join(path_, key), parsed.error().message);
    price = *parsed;
  }

  void NotYet(std::string_view key, std::string_view what) {
    if (const YAML::Node* node = Find(key, false)) place_.Fail(*node, Join(path_, key), what);
  }

  // After all fields were visited: a key that none of them asked for.
  void Finish() {
    for (const auto& [key, node] : pairs_) {
      if (std::ranges::find(known_, key) != known_.end()) continue;
      std::string_view near = config::Nearest(key, known_);
      place_.Fail(node, Join(path_, key),
                  near.empty() ? fmt::format("unknown key; known here: {}", Known()) : fmt::format("unknown key; nearest: '{}'", near));
    }
  }

 private:
  const YAML::Node* Find(std::string_view key, bool required) {
    known_.push_back(key);
    for (const auto& [name, node] : pairs_) {
      if (name == key) return &node;
    }
    if (required) place_.Fail(node_, Join(path_, key), "is missing");
    return nullptr;
  }

  void Take(const YAML::Node& node, std::string_view path, const Result<Nothing>& result) {
    if (!result) place_.Fail(node, path, result.error().message);
  }

  template <class Each>
  void ForEach(const YAML::Node& node, const std::string& path, Each each) {
    if (node.IsNull()) return;
    if (!node.IsSequence()) return place_.Fail(node, path, "expected a sequence (- item)");
    for (std::size_t i = 0; i < node.size(); ++i) each(node[i], fmt::format("{}[{}]", path, i));
  }

  template <class T>
  void Read(const YAML::Node& node, std::string path, T& out) {
    Reader sub(node, std::move(path), place_);
    config::Fields(sub, out);
    sub.Finish();
  }

  std::string Known() const {
    std::string text;
    for (std::string_view key : known_) text.append(text.empty() ? "" : ", ").append(key);
    return text;
  }

  std::string path_;
  Place& place_;
  YAML::Node node_;
  std::vector<std::pair<std::string, YAML::Node>> pairs_;
  std::vector<std::string_view> known_;
};

}  // namespace

Result<Config> ParseConfig(std::string_view yaml, Config base, std::string_view file_name) {
  Place place{std::string(file_name), {}};
  try {
    YAML::Node root = YAML::Load(std::string(yaml));
    Reader reader(root, "", place);
    config::Fields(reader, base);
    reader.Finish();
  } catch (const YAML::Exception& error) {
    return Error(Code::kInvalidArgument, fmt::format("{}:{}: not valid YAML: {}", file_name, error.mark.line + 1, error.msg), "bad_config");
  }
  if (place.fault) return std::unexpected(*std::move(place.fault));
  return base;
}

}  // namespace nereid

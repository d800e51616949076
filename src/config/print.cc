// The printer: the field table rendered as YAML that ParseConfig reads back.
#include <yaml-cpp/yaml.h>

#include "config/fields.h"

namespace nereid {
namespace {

using config::Rule;

class Printer {
 public:
  explicit Printer(YAML::Emitter& out) : out_(out) {}

  template <class T>
  void Value(std::string_view key, T& field, const Rule& = {}) {
    if constexpr (requires { field.has_value(); }) {
      if (field) Key(key) << config::ToText(*field);
    } else {
      Key(key) << config::ToText(field);
    }
  }
  // Texts are always quoted, so that "true", "8000" and "" stay texts.
  void Value(std::string_view key, std::string& field, const Rule& = {}) { Key(key) << YAML::DoubleQuoted << field; }
  void Value(std::string_view key, std::vector<std::string>& field) {
    Key(key) << YAML::BeginSeq;
    for (const std::string& text : field) out_ << YAML::DoubleQuoted << text;
    out_ << YAML::EndSeq;
  }
  void Value(std::string_view key, std::map<std::string, std::string>& field) {
    Key(key) << YAML::BeginMap;
    for (const auto& [name, text] : field) out_ << YAML::Key << name << YAML::Value << YAML::DoubleQuoted << text;
    out_ << YAML::EndMap;
  }
  void Value(std::string_view key, std::map<std::string, std::map<std::string, std::string>>& field) {
    Key(key) << YAML::BeginMap;
    for (auto& [name, settings] : field) Value(name, settings);
    out_ << YAML::EndMap;
  }

  template <class T>
  void Struct(std::string_view key, T& sub) {
    Key(key);
    Map(sub);
  }
  void Priced(std::string_view key, PriceConfig& price) {
    if (!price.unpriced) Struct(key, price);
  }
  template <class T>
  void Named(std::string_view key, std::vector<T>& list) {
    Key(key) << YAML::BeginMap;
    for (T& item : list) Struct(item.name, item);
    out_ << YAML::EndMap;
  }
  template <class T>
  void List(std::string_view key, std::vector<T>& list) {
    Key(key) << YAML::BeginSeq;
    for (T& item : list) Map(item);
    out_ << YAML::EndSeq;
  }
  void Secrets(std::string_view key, std::vector<SecretRef>& list) {
    Key(key) << YAML::BeginSeq;
    for (const SecretRef& secret : list) {
      std::size_t colon = secret.source.find(':');
      out_ << YAML::Flow << YAML::BeginMap << YAML::Key << secret.source.substr(0, colon) << YAML::Value << YAML::DoubleQuoted
           << secret.source.substr(colon + 1) << YAML::EndMap;
    }
    out_ << YAML::EndSeq;
  }
  void Money(std::string_view key, NanoUsdPerMillion& price, const Rule& = {}) { Key(key) << config::PriceText(price); }
  void Money(std::string_view key, std::optional<NanoUsdPerMillion>& price, const Rule& = {}) {
    if (price) Key(key) << config::PriceText(*price);
  }
  void NotYet(std::string_view, std::string_view) {}

  template <class T>
  void Map(T& sub) {
    out_ << YAML::BeginMap;
    config::Fields(*this, sub);
    out_ << YAML::EndMap;
  }

 private:
  YAML::Emitter& Key(std::string_view key) { return out_ << YAML::Key << std::string(key) << YAML::Value; }

  YAML::Emitter& out_;
};

}  // namespace

std::string PrintConfig(const Config& config) {
  Config copy = config;  // the field table is written over mutable fields
  YAML::Emitter out;
  Printer(out).Map(copy);
  return std::string(out.c_str(), out.size()) + "\n";
}

}  // namespace nereid

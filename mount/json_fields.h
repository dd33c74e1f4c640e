// Fields of a mount's answers as they are shown to a person. What is missing or of another type
// is shown as empty or 0.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "mount/format.h"

namespace swarmfs::mount {

/// Safe for a terminal.
inline std::string text_of(const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? printable(it->get<std::string>()) : "";
}

inline double number_of(const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<double>() : 0;
}

/// A number without decimals.
inline std::string count_of(const nlohmann::json& object, const char* key) {
  return std::to_string(static_cast<long long>(number_of(object, key)));
}

/// The elements of an array that are objects.
inline std::vector<nlohmann::json> objects_of(const nlohmann::json& object, const char* key) {
  std::vector<nlohmann::json> found;
  const auto it = object.find(key);
  if (it == object.end() || !it->is_array()) return found;
  for (const auto& element : *it)
    if (element.is_object()) found.push_back(element);
  return found;
}

}  // namespace swarmfs::mount

#include "mount/describe.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mount/format.h"
#include "swarm/base/hex.h"

namespace swarmfs::mount {
namespace {

std::size_t file_count(const metainfo::Metainfo& m) {
  return static_cast<std::size_t>(
      std::count_if(m.files.begin(), m.files.end(), [](const auto& f) { return !f.pad; }));
}

}  // namespace

const char* format_name(metainfo::Format format) {
  switch (format) {
    case metainfo::Format::v1:
      return "v1";
    case metainfo::Format::v2:
      return "v2";
    case metainfo::Format::hybrid:
      return "hybrid";
  }
  return "?";
}

std::string display_path(const metainfo::Metainfo& metainfo, const metainfo::File& file) {
  std::string out = metainfo.name;
  if (metainfo.single_file) return out;
  for (const std::string& component : file.path) out += "/" + component;
  return out;
}

std::string summary_text(const metainfo::Metainfo& m) {
  std::string out = "name:       " + printable(m.name) + "\n";
  out += "format:     " + std::string(format_name(m.format)) + "\n";
  if (m.hashes.v1) out += "info hash:  " + to_hex(*m.hashes.v1) + "  (v1)\n";
  if (m.hashes.v2) out += "info hash:  " + to_hex(*m.hashes.v2) + "  (v2)\n";
  const std::size_t files = file_count(m);
  out += "size:       " + human_size(m.layout.content_size()) + " (" +
         std::to_string(m.layout.content_size()) + " bytes) in " + std::to_string(files) +
         (files == 1 ? " file\n" : " files\n");
  out += "pieces:     " + std::to_string(m.layout.piece_count()) + " of " +
         human_size(m.layout.piece_length()) + "\n";
  if (m.is_private) out += "private:    yes\n";
  return out;
}

nlohmann::ordered_json summary_json(const metainfo::Metainfo& m) {
  nlohmann::ordered_json json;
  json["name"] = m.name;
  json["format"] = format_name(m.format);
  if (m.hashes.v1) json["info_hash_v1"] = to_hex(*m.hashes.v1);
  if (m.hashes.v2) json["info_hash_v2"] = to_hex(*m.hashes.v2);
  json["size"] = m.layout.content_size();
  json["file_count"] = file_count(m);
  json["piece_length"] = m.layout.piece_length();
  json["pieces"] = m.layout.piece_count();
  json["private"] = m.is_private;
  return json;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace swarmfs::mount

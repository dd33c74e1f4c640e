#include "mount/list_text.h"

#include <nlohmann/json.hpp>

#include "mount/json_fields.h"

namespace swarmfs::mount {

using nlohmann::json;

std::string list_text(const json& list) {
  if (!list.is_object()) return "";
  std::string text = text_of(list, "mountpoint") + "\n";
  for (const auto& torrent : objects_of(list, "torrents")) {
    const std::string name = text_of(torrent, "name");
    text += "  " + name;
    if (const std::string own = text_of(torrent, "torrent"); own != name)
      text += " (of " + own + ")";
    text += "  " + human_size(static_cast<std::uint64_t>(number_of(torrent, "size"))) + " in " +
            count_of(torrent, "files") + " files  " + text_of(torrent, "state");
    if (const std::string error = text_of(torrent, "error"); !error.empty()) text += ": " + error;
    text += "\n";
  }
  for (const auto& manifest : objects_of(list, "broken"))
    text += "  " + text_of(manifest, "manifest") + "  broken: " + text_of(manifest, "error") + "\n";
  return text;
}

}  // namespace swarmfs::mount

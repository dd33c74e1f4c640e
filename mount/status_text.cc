#include "mount/status_text.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

namespace swarmfs::mount {

namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* key) {
  const auto it = object.find(key);
  std::string text = it != object.end() && it->is_string() ? it->get<std::string>() : "";
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return text;
}

double number_of(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<double>() : 0;
}

std::string amount(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return text;
}

std::string torrent_lines(const json& t) {
  // Rounded down: only what is complete says 100 %.
  char percent[16];
  std::snprintf(percent, sizeof percent, "%5.1f %%",
                std::floor(number_of(t, "progress") * 1000) / 10);
  const auto count = [&](const char* key) {
    return std::to_string(static_cast<long long>(number_of(t, key)));
  };
  return "  " + text_of(t, "name") + "\n    " + percent + " (" +
         amount(number_of(t, "bytes_here")) + " of " + amount(number_of(t, "size")) + ")  down " +
         amount(number_of(t, "down_rate")) + "/s  up " + amount(number_of(t, "up_rate")) +
         "/s  peers " + count("peers") + " (" + count("seeds") + " seeds)  waiting reads " +
         count("waiting_reads") + "  " + text_of(t, "state") + "\n";
}

}  // namespace

std::string status_text(const json& status) {
  if (!status.is_object()) return "";
  std::string text = text_of(status, "mountpoint") + "\n";
  const auto torrents = status.find("torrents");
  if (torrents == status.end() || !torrents->is_array()) return text;
  for (const auto& torrent : *torrents)
    if (torrent.is_object()) text += torrent_lines(torrent);
  return text;
}

}  // namespace swarmfs::mount

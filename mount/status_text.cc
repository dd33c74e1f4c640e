#include "mount/status_text.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "mount/json_fields.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;

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
  return "  " + text_of(t, "name") + "\n    " + percent + " (" +
         amount(number_of(t, "bytes_here")) + " of " + amount(number_of(t, "size")) + ")  down " +
         amount(number_of(t, "down_rate")) + "/s  up " + amount(number_of(t, "up_rate")) +
         "/s  peers " + count_of(t, "peers") + " (" + count_of(t, "seeds") +
         " seeds)  waiting reads " + count_of(t, "waiting_reads") + "  " + text_of(t, "state") +
         "\n";
}

/// Reads that had to be fetched, if there were any.
std::string latency_line(const json& status) {
  const auto latency = status.find("latency");
  if (latency == status.end() || !latency->is_object()) return "";
  const auto peer = latency->find("peer");
  if (peer == latency->end() || !peer->is_object() || number_of(*peer, "count") == 0) return "";
  const auto within = [&](const char* key) { return human_wait(number_of(*peer, key) / 1e6); };
  return "  " + count_of(*peer, "count") + " reads from peers: half within " + within("p50_us") +
         ", 99 % within " + within("p99_us") + "\n";
}

}  // namespace

std::string status_text(const json& status) {
  if (!status.is_object()) return "";
  std::string text = text_of(status, "mountpoint") + "\n";
  for (const auto& torrent : objects_of(status, "torrents")) text += torrent_lines(torrent);
  return text + latency_line(status);
}

}  // namespace swarmfs::mount

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

/// Rounded down: only what is complete says 100 %.
std::string percent(double progress, int width) {
  char text[32];
  std::snprintf(text, sizeof text, "%*.1f %%", width, std::floor(progress * 1000) / 10);
  return text;
}

std::string torrent_lines(const json& t) {
  const double web_seeds = number_of(t, "web_seeds");
  const std::string web = web_seeds == 0 ? "" : "  web seeds " + count_of(t, "web_seeds");
  return "  " + text_of(t, "name") + "\n    " + percent(number_of(t, "progress"), 5) + " (" +
         amount(number_of(t, "bytes_here")) + " of " + amount(number_of(t, "size")) + ")  down " +
         amount(number_of(t, "down_rate")) + "/s  up " + amount(number_of(t, "up_rate")) +
         "/s  peers " + count_of(t, "peers") + " (" + count_of(t, "seeds") + " seeds)" + web +
         "  waiting reads " + count_of(t, "waiting_reads") + "  " + text_of(t, "state") + "\n";
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

/// How many nodes of the hash table are known, if it is used.
std::string dht_line(const json& status) {
  const auto dht = status.find("dht");
  if (dht == status.end() || !dht->is_object() || dht->find("used") == dht->end() ||
      (*dht)["used"] != true)
    return "";
  return "  DHT: " + count_of(*dht, "nodes") + " nodes\n";
}

/// What holds by the time of day, if anything does.
std::string schedule_line(const json& status) {
  const auto schedule = status.find("schedule");
  if (schedule == status.end() || !schedule->is_object()) return "";
  const std::string rule = text_of(*schedule, "rule");
  return "  schedule: " + (rule.empty() ? "no rule for this time" : rule) + "\n";
}

/// Where a router leads to us, if one does.
std::string mapping_line(const json& status) {
  const auto mapping = status.find("port_mapping");
  if (mapping == status.end() || !mapping->is_object()) return "";
  const bool tcp = !text_of(*mapping, "tcp").empty();
  const std::string at = text_of(*mapping, tcp ? "tcp" : "udp");
  return at.empty() ? "" : "  reached at " + at + " (" + text_of(*mapping, "method") + ")\n";
}

/// By which way everything goes, if one was asked for.
std::string route_lines(const json& status) {
  const auto route = status.find("route");
  if (route == status.end() || !route->is_object()) return "";
  std::string lines;
  if (const std::string proxy = text_of(*route, "proxy"); !proxy.empty())
    lines += "  through " + proxy + ", or nowhere\n";
  const std::string interface = text_of(*route, "interface");
  if (interface.empty()) return lines;
  const bool there = route->value("interface_there", json(true)) != false;
  return lines + "  by " + interface + (there ? "" : ", which is not there now") + ", or nowhere\n";
}

}  // namespace

std::string status_text(const json& status) {
  if (!status.is_object()) return "";
  std::string text = text_of(status, "mountpoint") + "\n";
  for (const auto& torrent : objects_of(status, "torrents")) text += torrent_lines(torrent);
  return text + latency_line(status) + dht_line(status) + mapping_line(status) +
         route_lines(status) + schedule_line(status);
}

std::string status_line(const json& status) {
  double here = 0, size = 0, down = 0, up = 0, peers = 0, waiting = 0;
  if (!status.is_object()) return "";
  const auto torrents = objects_of(status, "torrents");
  for (const auto& t : torrents) {
    here += number_of(t, "bytes_here");
    size += number_of(t, "size");
    down += number_of(t, "down_rate");
    up += number_of(t, "up_rate");
    peers += number_of(t, "peers");
    waiting += number_of(t, "waiting_reads");
  }
  const auto whole = [](double n) { return std::to_string(static_cast<long long>(n)); };
  return percent(size > 0 ? here / size : 1, 0) + " of " + amount(size) + " here, torrents " +
         std::to_string(torrents.size()) + ", down " + amount(down) + "/s, up " + amount(up) +
         "/s, peers " + whole(peers) + ", waiting reads " + whole(waiting);
}

}  // namespace swarmfs::mount

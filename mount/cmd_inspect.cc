// swarmfs inspect: says what is in a manifest.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "mount/commands.h"
#include "mount/describe.h"
#include "mount/format.h"
#include "mount/link_fetch.h"
#include "swarm/base/hex.h"

namespace swarmfs::mount {
namespace {

using metainfo::File;
using metainfo::Metainfo;

struct InspectArgs {
  std::string manifest;
  bool json = false;
  unsigned timeout_s = 60;
  RouteOptions route{};
};

std::string joined(const std::vector<std::string>& path) {
  std::string out;
  for (const std::string& component : path) out += (out.empty() ? "" : "/") + component;
  return out;
}

std::string date_text(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  char text[40];
  if (::gmtime_r(&time, &utc) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc) == 0) {
    return std::to_string(seconds);
  }
  return text;
}

nlohmann::ordered_json file_json(const Metainfo& m, const File& file) {
  nlohmann::ordered_json json;
  json["path"] = display_path(m, file);
  json["length"] = file.length;
  if (file.executable) json["executable"] = true;
  if (!file.symlink.empty()) json["symlink"] = m.name + "/" + joined(file.symlink);
  if (file.pieces_root) json["pieces_root"] = to_hex(*file.pieces_root);
  return json;
}

void print_json(const Metainfo& m) {
  nlohmann::ordered_json json = summary_json(m);
  if (!m.comment.empty()) json["comment"] = m.comment;
  if (!m.created_by.empty()) json["created_by"] = m.created_by;
  if (m.creation_date) json["creation_date"] = *m.creation_date;
  json["trackers"] = m.trackers;
  json["webseeds"] = m.webseeds;
  json["magnet"] = wire::to_string(magnet_of(m));
  if (!m.httpseeds.empty()) json["httpseeds"] = m.httpseeds;
  json["files"] = nlohmann::ordered_json::array();
  for (const File& file : m.files) {
    if (!file.pad) json["files"].push_back(file_json(m, file));
  }
  std::printf("%s\n", dump(json).c_str());
}

void print_field(const char* label, const std::string& value) {
  if (!value.empty()) std::printf("%-11s %s\n", label, printable(value).c_str());
}

void print_text(const Metainfo& m) {
  std::fputs(summary_text(m).c_str(), stdout);
  print_field("comment:", m.comment);
  print_field("created by:", m.created_by);
  if (m.creation_date) print_field("created:", date_text(*m.creation_date));
  for (std::size_t tier = 0; tier < m.trackers.size(); ++tier) {
    for (const std::string& url : m.trackers[tier]) {
      print_field("tracker:", url + "  (tier " + std::to_string(tier + 1) + ")");
    }
  }
  for (const std::string& url : m.webseeds) print_field("web seed:", url);
  for (const std::string& url : m.httpseeds) print_field("HTTP seed:", url);
  print_field("magnet:", wire::to_string(magnet_of(m)));
  std::printf("files:\n");
  for (const File& file : m.files) {
    if (file.pad) continue;
    std::printf("%16llu  %s", static_cast<unsigned long long>(file.length),
                printable(display_path(m, file)).c_str());
    if (!file.symlink.empty()) {
      std::printf(" -> %s", printable(m.name + "/" + joined(file.symlink)).c_str());
    }
    std::printf("%s\n", file.executable ? "  (executable)" : "");
  }
}

int run_inspect(const Context& context, const InspectArgs& args) {
  const Result<Metainfo> metainfo = load_manifest(
      args.manifest, std::chrono::seconds(args.timeout_s), args.route, context.make_logger());
  if (!metainfo) return report(metainfo.error());
  args.json ? print_json(*metainfo) : print_text(*metainfo);
  return kOk;
}

}  // namespace

void add_inspect(Command app, Context& context) {
  const Command cmd = app.add("inspect", "Say what is in a torrent");
  const auto args = std::make_shared<InspectArgs>();
  cmd.option("MANIFEST", args->manifest, kManifestHelp).required();
  add_metadata_timeout(cmd, args->timeout_s);
  add_route_options(cmd, args->route);
  cmd.flag("--json", args->json, "Write JSON");
  cmd.callback(
      [&context, args] { context.run = [&context, args] { return run_inspect(context, *args); }; });
}

}  // namespace swarmfs::mount

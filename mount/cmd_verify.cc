// swarmfs verify: hashes local files again and names what does not match.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "mount/commands.h"
#include "mount/describe.h"
#include "mount/format.h"
#include "mount/link_fetch.h"
#include "mount/progress.h"
#include "swarm/metainfo/check.h"
#include "swarm/metainfo/content_path.h"

namespace swarmfs::mount {
namespace {

using metainfo::CheckReport;
using metainfo::Metainfo;
using Pieces = std::vector<std::uint32_t>;

struct VerifyArgs {
  std::string manifest;
  std::string path;
  bool json = false;
  unsigned timeout_s = 60;
  RouteOptions route{};
};

/// What is wrong with one file.
struct BadFile {
  Pieces pieces;                   ///< its bad pieces, ascending
  const Error* problem = nullptr;  ///< more than wrong bytes
  bool pieces_unknown = false;     ///< which of its pieces are bad cannot be said
};
using BadFiles = std::map<std::uint32_t, BadFile>;  // by FileIndex

BadFiles find_bad_files(const Metainfo& m, const CheckReport& report) {
  BadFiles bad;
  for (const auto& problem : report.problems) {
    bad[problem.file.value].problem = &problem.error;
    bad[problem.file.value].pieces_unknown = problem.pieces_unknown;
  }
  for (std::uint32_t i = 0; i < report.good.size(); ++i) {
    if (report.good[i]) continue;
    for (const auto& slice :
         m.layout.slices(PieceIndex(i), 0, m.layout.piece_size(PieceIndex(i)))) {
      if (slice.pad) continue;
      BadFile& file = bad[slice.file.value];
      if (!file.pieces_unknown) file.pieces.push_back(i);
    }
  }
  return bad;
}

/// "3, 7-12, 20".
std::string ranges(const Pieces& pieces) {
  std::string out;
  for (std::size_t i = 0; i < pieces.size();) {
    std::size_t last = i;
    while (last + 1 < pieces.size() && pieces[last + 1] == pieces[last] + 1) ++last;
    out += (out.empty() ? "" : ", ") + std::to_string(pieces[i]);
    if (last > i) out += "-" + std::to_string(pieces[last]);
    i = last + 1;
  }
  return out;
}

void print_json(const Metainfo& m, const BadFiles& bad) {
  nlohmann::ordered_json json = summary_json(m);
  json["ok"] = bad.empty();
  std::set<std::uint32_t> bad_pieces;
  for (const auto& [index, file] : bad) bad_pieces.insert(file.pieces.begin(), file.pieces.end());
  json["bad_pieces"] = bad_pieces;
  json["bad_files"] = nlohmann::ordered_json::array();
  for (const auto& [index, file] : bad) {
    nlohmann::ordered_json entry;
    entry["path"] = display_path(m, m.files[index]);
    entry["bad_pieces"] = file.pieces;
    if (file.pieces_unknown) entry["bad_pieces_unknown"] = true;
    if (file.problem) entry["error"] = file.problem->message;
    json["bad_files"].push_back(std::move(entry));
  }
  std::printf("%s\n", dump(json).c_str());
}

void print_text(const Metainfo& m, const BadFiles& bad) {
  for (const auto& [index, file] : bad) {
    std::string line = "bad: " + printable(display_path(m, m.files[index]));
    if (!file.pieces.empty()) {
      line += (file.pieces.size() == 1 ? " (piece " : " (pieces ") + ranges(file.pieces) + ")";
    }
    if (file.problem) line += ": " + printable(file.problem->message);
    std::printf("%s\n", line.c_str());
  }
}

/// The error that sums up: about the disk if a file could not be had, else about its content.
Error summary(const Metainfo& m, const CheckReport& report, const BadFiles& bad,
              const std::string& path) {
  const auto unavailable =
      std::count_if(report.problems.begin(), report.problems.end(),
                    [](const auto& problem) { return problem.error.kind != ErrorKind::mismatch; });
  const bool at_most =
      std::any_of(bad.begin(), bad.end(), [](const auto& f) { return f.second.pieces_unknown; });
  const std::string text = path + ": " + (at_most ? "up to " : "") +
                           std::to_string(report.bad_pieces()) + " of " +
                           std::to_string(m.layout.piece_count()) + " pieces and " +
                           std::to_string(bad.size()) + " files do not match";
  if (unavailable == 0) return fail(ErrorKind::mismatch, text);
  return fail(ErrorKind::not_found,
              text + "; " + std::to_string(unavailable) + " could not be found or read");
}

int run_verify(const Context& context, const VerifyArgs& args) {
  Result<Metainfo> loaded = load_manifest(args.manifest, std::chrono::seconds(args.timeout_s),
                                          args.route, context.make_logger());
  if (!loaded) return report(loaded.error());
  const auto metainfo = std::make_shared<const Metainfo>(std::move(*loaded));
  metainfo::PieceRoots roots(metainfo);
  const Result<std::filesystem::path> base = metainfo::find_content(*metainfo, args.path);
  if (!base) {
    report(base.error());
    return kFile;
  }
  const Result<CheckReport> checked = [&] {
    ProgressLine line("checking", context.verbosity >= 0);
    return metainfo::check_pieces(
        roots, *base, [&](std::uint64_t done, std::uint64_t total) { line.update(done, total); });
  }();
  if (!checked) return report(checked.error());
  const BadFiles bad = find_bad_files(*metainfo, *checked);
  if (args.json) {
    print_json(*metainfo, bad);
  } else if (bad.empty() && context.verbosity >= 0) {
    std::printf("ok: all %u pieces match (%s)\n", metainfo->layout.piece_count(),
                human_size(metainfo->layout.content_size()).c_str());
  } else {
    print_text(*metainfo, bad);
  }
  return bad.empty() ? kOk : report(summary(*metainfo, *checked, bad, args.path));
}

}  // namespace

void add_verify(Command app, Context& context) {
  const Command cmd = app.add("verify", "Hash local files again and name what does not match");
  const auto args = std::make_shared<VerifyArgs>();
  cmd.option("MANIFEST", args->manifest, kManifestHelp).required();
  add_metadata_timeout(cmd, args->timeout_s);
  add_route_options(cmd, args->route);
  cmd.option("PATH", args->path, "The files, or the folder they are in").required();
  cmd.flag("--json", args->json, "Write JSON");
  cmd.footer("Exit status: 0 all matches, 4 files are missing or unreadable, 5 bytes differ.");
  cmd.callback(
      [&context, args] { context.run = [&context, args] { return run_verify(context, *args); }; });
}

}  // namespace swarmfs::mount

// swarmfs publish: makes a torrent of local files.
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>

#include "mount/commands.h"
#include "mount/describe.h"
#include "mount/format.h"
#include "mount/progress.h"
#include "swarm/metainfo/publish.h"
#include "swarm/metainfo/write_file.h"

namespace swarmfs::mount {
namespace {

namespace fs = std::filesystem;

struct PublishArgs {
  std::string path;
  std::string out;
  metainfo::PublishOptions options;
  bool json = false;
};

/// Errors of publish are about local files, whatever their kind says to readers of manifests.
int report_file(const Error& error) {
  const int code = report(error);
  return code == kBadManifest || code == kMismatch ? kFile : code;
}

/// Finds out before the long work whether its result could be written.
Result<> check_output(const fs::path& out, const fs::path& source) {
  std::error_code ignored;
  if (fs::is_directory(out, ignored)) return Error::from_errno(EISDIR, out.string());
  const fs::path folder = out.has_parent_path() ? out.parent_path() : fs::path(".");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return Error::from_errno(errno, out.string());
  const fs::path root = fs::weakly_canonical(source, ignored);
  for (fs::path p = fs::weakly_canonical(folder, ignored); p != root; p = p.parent_path()) {
    if (p == p.parent_path()) return {};
  }
  if (!fs::is_directory(root, ignored)) return {};
  return fail(ErrorKind::bad_input,
              out.string() + ": lies inside what is published; write it elsewhere");
}

int run_publish(const Context& context, const PublishArgs& args) {
  const Result<> writable = check_output(args.out, args.path);
  if (!writable) return report_file(writable.error());
  Result<metainfo::Published> published = [&] {
    ProgressLine line("hashing", context.verbosity >= 0);
    return metainfo::publish(args.path, args.options, [&](std::uint64_t done, std::uint64_t total) {
      line.update(done, total);
    });
  }();
  if (!published) return report_file(published.error());
  const Result<metainfo::Metainfo> metainfo = metainfo::parse(published->torrent);
  if (!metainfo) {
    return report(fail(ErrorKind::cancelled, "the torrent made of " + args.path +
                                                 " would not load: " + metainfo.error().message));
  }
  const Result<> written = metainfo::write_file_atomically(args.out, published->torrent);
  if (!written) return report_file(written.error());

  if (context.verbosity >= 0) {
    for (const std::string& note : published->notes) {
      std::fprintf(stderr, "note: %s\n", printable(note).c_str());
    }
  }
  if (args.json) {
    nlohmann::ordered_json json = summary_json(*metainfo);
    json["torrent"] = args.out;
    std::printf("%s\n", dump(json).c_str());
  } else if (context.verbosity >= 0) {
    std::printf("%s\n%s", printable(args.out).c_str(), summary_text(*metainfo).c_str());
  }
  return kOk;
}

Result<metainfo::Format> parse_format(const std::string& text) {
  if (text == "hybrid") return metainfo::Format::hybrid;
  if (text == "v2") return metainfo::Format::v2;
  if (text == "v1") return metainfo::Format::v1;
  return fail(ErrorKind::bad_input, "'" + text + "' is not hybrid, v2 or v1");
}

Result<> check_piece_size(const std::string& text) {
  const auto size = parse_size(text);
  if (size && std::has_single_bit(*size) && *size >= (16 << 10) && *size <= (512 << 20)) return {};
  return fail(ErrorKind::bad_input,
              "piece size must be a power of two from 16K to 512M, not " + text);
}

Result<> check_url(const std::string& url, std::initializer_list<std::string_view> schemes) {
  for (const std::string_view scheme : schemes) {
    const std::string start = std::string(scheme) + "://";
    if (url.starts_with(start) && url.size() > start.size()) return {};
  }
  return fail(ErrorKind::bad_input, "'" + url + "' is not a URL of a kind that works here");
}

Result<> check_tracker(const std::string& url) {
  return check_url(url, {"http", "https", "udp", "ws", "wss"});
}

Result<> check_web_seed(const std::string& url) { return check_url(url, {"http", "https"}); }

}  // namespace

void add_publish(Command app, Context& context) {
  const Command cmd = app.add("publish", "Make a torrent of a file or folder");
  const auto args = std::make_shared<PublishArgs>();
  metainfo::PublishOptions& options = args->options;
  cmd.option("PATH", args->path, "File or folder to publish").required();
  cmd.option("-o,--output", args->out, "Torrent file to write").required();
  cmd.option(
         "--format",
         [&options](const std::string& text) -> Result<> {
           const auto format = parse_format(text);
           if (!format) return format.error();
           options.format = *format;
           return {};
         },
         "hybrid (default), v2 or v1")
      .text("hybrid|v2|v1");
  cmd.option(
         "--piece-size",
         [&options](const std::string& text) {
           options.piece_length = static_cast<std::uint32_t>(parse_size(text).value_or(0));
           return Result<>();
         },
         "Power of two from 16K to 512M; by default chosen from the total size")
      .check(check_piece_size, "SIZE");
  cmd.option("--tracker", options.trackers, "Tracker to announce to; each is a tier of its own")
      .one_each()
      .check(check_tracker, "URL");
  cmd.option("--web-seed,--webseed", options.webseeds, "Web server that has the same files")
      .one_each()
      .check(check_web_seed, "URL");
  cmd.flag("--private", options.is_private, "Find peers through the trackers only");
  cmd.option("--comment", options.comment, "Text to put into the torrent");
  cmd.option("--creation-date", options.creation_date,
             "Seconds since 1970 to put into the torrent; by default no date")
      .not_negative();
  cmd.flag("--json", args->json, "Describe the torrent as JSON");
  cmd.callback(
      [&context, args] { context.run = [&context, args] { return run_publish(context, *args); }; });
}

}  // namespace swarmfs::mount

// swarmfs why: what a read waits for, now.
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "mount/commands.h"
#include "mount/control.h"
#include "mount/which_mount.h"
#include "mount/why_text.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;
/// Spelt out where one is made: JSON converts to and from too much.
using Answer = Result<json>;
constexpr Duration kTimeout = std::chrono::seconds(5);

struct Options {
  std::string about;
  bool as_json = false;
};

/// Digits alone are a process; a file of such a name is called ./123.
std::optional<pid_t> as_pid(const std::string& text) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc{} || end != text.data() + text.size() || pid <= 0) return std::nullopt;
  return pid;
}

Answer ask(const std::string& socket, const std::string& path) {
  const auto reply = control_request(socket, "why", kTimeout, path);
  if (!reply) return reply.error();
  json parsed = json::parse(*reply);
  const auto why = parsed.find("why");
  if (why == parsed.end() || !why->is_object())
    return fail(ErrorKind::protocol, "the mount behind " + socket + " sent no answer");
  return Answer(boost::system::in_place_value, std::move(*why));
}

Answer about_path(const std::string& given) {
  const auto mount = mount_of(given);
  if (!mount) return mount.error();
  auto why = ask(mount->socket, mount->below);
  if (!why && why.error().kind == ErrorKind::not_found)
    return fail(ErrorKind::not_found, given + " is not on a swarmfs mount of yours");
  return why;
}

/// Keeps what is of this process: of its threads, which may have ended for those that waited.
json of_process(json why, pid_t pid) {
  const std::string threads = "/proc/" + std::to_string(pid) + "/task/";
  const auto keep = [&](const char* list, const auto& mine) {
    json kept = json::array();
    for (auto& read : why[list])
      if (read.is_object() && mine(read)) kept.push_back(std::move(read));
    why[list] = std::move(kept);
  };
  keep("waiting",
       [&](const json& r) { return r.value("pid", 0) == pid || r.value("tid", 0) == pid; });
  keep("recent", [&](const json& r) {
    return std::filesystem::exists(threads + std::to_string(r.value("tid", 0)));
  });
  why["waiting_reads"] = why["waiting"].size();
  return why;
}

Answer about_process(pid_t pid) {
  const auto folder = control_folder();
  if (!folder) return folder.error();
  json all = json::array();
  for (const auto& socket : control_sockets(*folder)) {
    auto why = ask(socket, "");
    if (!why && why.error().kind == ErrorKind::not_found) continue;  // left by a dead one
    if (!why) return why.error();
    *why = of_process(std::move(*why), pid);
    if (!(*why)["waiting"].empty()) all.push_back(std::move(*why));
  }
  if (!all.empty()) return Answer(boost::system::in_place_value, std::move(all));
  std::error_code ignored;
  const std::string who = "process " + std::to_string(pid);
  return fail(ErrorKind::not_found, std::filesystem::exists("/proc/" + std::to_string(pid), ignored)
                                        ? who + " has no waiting read on a swarmfs mount of yours"
                                        : "there is no " + who);
}

int run(const Options& options) {
  const auto pid = as_pid(options.about);
  const auto why = pid ? about_process(*pid) : about_path(options.about);
  if (!why) return report(why.error());
  if (options.as_json) {
    std::printf("%s\n", why->dump(2, ' ', false, json::error_handler_t::replace).c_str());
    return kOk;
  }
  if (!why->is_array()) std::fputs(why_text(*why).c_str(), stdout);
  if (why->is_array())
    for (const auto& mount : *why) std::fputs(why_text(mount).c_str(), stdout);
  return kOk;
}

}  // namespace

void add_why(Command app, Context& context) {
  const Command command = app.add("why", "Say what a read waits for, now");
  const auto options = std::make_shared<Options>();  // lives as long as the callback
  command
      .option("PATH|PID", options->about,
              "A file, folder or mount point; or a process whose reads wait")
      .required();
  command.flag("--json", options->as_json,
               "Print JSON: an object for a path, an array of mounts for a process");
  command.callback([options, &context] { context.run = [options] { return run(*options); }; });
}

}  // namespace swarmfs::mount

#include "mount/mount_helper.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace swarmfs::mount {

namespace {

bool contains(const std::vector<std::string_view>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// Options of mount(8), fstab and systemd that mean nothing here, or what is so anyway.
bool is_generic(std::string_view option) {
  static const std::vector<std::string_view> known = {"auto",        "noauto",
                                                      "user",        "users",
                                                      "nouser",      "owner",
                                                      "group",       "_netdev",
                                                      "nofail",      "defaults",
                                                      "ro",          "rw",
                                                      "suid",        "nosuid",
                                                      "dev",         "nodev",
                                                      "exec",        "noexec",
                                                      "atime",       "noatime",
                                                      "relatime",    "norelatime",
                                                      "strictatime", "nostrictatime",
                                                      "lazytime",    "nolazytime",
                                                      "diratime",    "nodiratime",
                                                      "sync",        "async",
                                                      "dirsync",     "mand",
                                                      "nomand",      "silent",
                                                      "loud",        "iversion",
                                                      "noiversion",  "default_permissions"};
  return contains(known, option) || option.starts_with("x-") || option.starts_with("X-") ||
         option.starts_with("comment=") || option.starts_with("user=") ||
         option.starts_with("fsname=") || option.starts_with("subtype=");
}

/// Splits at commas; "\," is a comma of the value, as libfuse has it.
std::vector<std::string> split_options(std::string_view text) {
  std::vector<std::string> out(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      out.back() += text[++i];
    } else if (text[i] == ',') {
      out.emplace_back();
    } else {
      out.back() += text[i];
    }
  }
  return out;
}

/// "peer=X" -> {"--peer", "X"}, "on_demand" -> {"--on-demand"}; nothing if it is none of ours.
std::optional<std::vector<std::string>> to_flag(const std::string& option) {
  static const std::vector<std::string_view> flags = {"allow_other", "on_demand", "no_restart",
                                                      "reads_exempt", "no_reads_exempt"};
  static const std::vector<std::string_view> with_value = {
      "cache_dir", "read_timeout", "limit_down", "limit_up",
      "peer",      "listen",       "log_file",   "watchdog"};
  const auto equals = option.find('=');
  const std::string name = option.substr(0, equals);
  std::string flag = "--" + name;
  std::replace(flag.begin(), flag.end(), '_', '-');
  if (equals == std::string::npos) {
    if (contains(flags, name)) return std::vector{flag};
  } else if (contains(with_value, name)) {
    return std::vector{flag, option.substr(equals + 1)};
  }
  return std::nullopt;
}

Result<> add_options(std::string_view text, std::vector<std::string>& flags,
                     std::vector<std::string>& manifests) {
  for (const auto& option : split_options(text)) {
    if (option.empty() || is_generic(option)) continue;
    if (option.starts_with("manifest=")) {
      manifests.push_back(option.substr(option.find('=') + 1));
    } else if (const auto flag = to_flag(option)) {
      flags.insert(flags.end(), flag->begin(), flag->end());
    } else {
      return fail(ErrorKind::bad_input, "unknown mount option \"" + option + "\"");
    }
  }
  return {};
}

}  // namespace

bool is_mount_helper_call(const std::vector<std::string>& argv) {
  if (argv.empty()) return false;
  const std::string_view program = base_name(argv[0]);
  if (program.starts_with("mount.")) return true;
  // From mount.fuse3. "swarmfs publish /film -o OUT" looks the same but for its command.
  static const std::vector<std::string_view> commands = {
      "publish", "inspect", "verify", "tracker", "seed",   "get", "mount",
      "unmount", "status",  "why",    "add",     "remove", "list"};
  return argv.size() == 5 && argv[3] == "-o" && !argv[1].starts_with("-") &&
         argv[2].starts_with("/") && !contains(commands, argv[1]);
}

Result<std::vector<std::string>> translate_mount_call(const std::vector<std::string>& argv) {
  std::vector<std::string> places, flags, manifests;
  bool verbose = false;
  for (std::size_t i = 1; i < argv.size(); ++i) {
    const std::string& word = argv[i];
    if (word == "-o" || word == "-t" || word == "-N") {
      if (++i == argv.size()) return fail(ErrorKind::bad_input, word + " needs a value");
      if (word != "-o") continue;
      const auto added = add_options(argv[i], flags, manifests);
      if (!added) return added.error();
    } else if (word.size() > 1 && word[0] == '-' &&
               word.find_first_not_of("sfnv", 1) == word.npos) {
      if (word.find('f') != word.npos) return std::vector<std::string>{};
      verbose = verbose || word.find('v') != word.npos;
    } else {
      places.push_back(word);
    }
  }
  if (places.size() != 2)
    return fail(ErrorKind::bad_input, "mount needs a manifest and a mount point");
  std::vector<std::string> out{"swarmfs"};
  if (verbose) out.push_back("-v");
  out.push_back("mount");
  out.insert(out.end(), flags.begin(), flags.end());
  out.push_back("--");
  out.push_back(places[0]);
  out.insert(out.end(), manifests.begin(), manifests.end());
  out.push_back(places[1]);
  return out;
}

}  // namespace swarmfs::mount

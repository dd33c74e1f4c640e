// What the user orders of a mount's torrents over the control socket.
//
// Each reply has the "mountpoint". Each request may have a "path" below the mount point: a torrent
// is what its folder or file is called there. Without one, all torrents are meant. Paths that are
// not there are refused with not_found. Rates are in bytes a second, 0 for no limit.
//
//   {"command":"pause"} and "resume" get {"torrents":[{"name","paused"}]}.
//   {"command":"limit","down":N,"up":N,"reads_exempt":B,"connections":N} changes what is named of
//   the limits, of each torrent at a path, or of all together without one; gets {"limits":L,
//   "torrents":[{"name","limits":L}]}, where L is {"down","up","reads_exempt","connections"}, the
//   first that of all together. Their connections are 0 for as many as each torrent may have, a
//   torrent's are over 0.
//   {"command":"pin"} and "unpin" get {"torrents":[{"name","files"}]}, the files pinned or
//   unpinned.
//   {"command":"prefetch","range":"0-1M"} asks for that range of each file, all of it without one,
//   and gets {"here","all","torrents":[{"name","here","all","paused","swarm"}]} in bytes. With
//   "ask_only":true it asks for nothing, and "swarm" is {"peers","disk_full","contradicted"}, or
//   null if the mount is too busy to say.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fs/tree.h"
#include "mount/control.h"
#include "mount/torrent_content.h"

namespace swarmfs::mount {

/// A torrent, and those of its files that an order is about.
struct OrderTarget {
  std::string name;  ///< as the mount shows it
  std::shared_ptr<TorrentContent> content;
  std::vector<FileIndex> files;
};

/// The torrents with files at or below a path, and those files; all for the empty path.
std::vector<OrderTarget> targets_below(const fs::Tree& tree, const std::string& path);

/// What the handlers work on; called on the control socket's threads.
struct OrderContext {
  std::string mountpoint;  ///< in every reply
  std::function<std::vector<OrderTarget>(const std::string& path)> targets;
  std::function<Limits()> limits;  ///< of all torrents together
  std::function<void(const Limits&)> set_limits;
  /// A torrent was paused, resumed, or got other limits.
  std::function<void(const TorrentContent&)> ordered = [](const TorrentContent&) {};
};

/// One handler for each command above.
std::map<std::string, ControlHandler, std::less<>> order_handlers(const OrderContext& context);

}  // namespace swarmfs::mount

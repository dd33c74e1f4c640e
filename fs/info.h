// The hidden folder of a mount: text files about it, which a lookup finds and no listing of the
// root shows. The tree knows their names; what they say is made when they are opened, elsewhere.
//
//   /.swarmfs/README  status  peers  torrents/<name>/status
//
// And the one file in the folder of a torrent whose metadata is still to come.
#pragma once

#include <cstdint>
#include <string>

namespace swarmfs::fs {

inline constexpr const char* kInfoFolder = ".swarmfs";

enum class InfoKind : std::uint8_t { readme, status, peers, torrent_status, waiting };

inline constexpr const char* kWaitingFile = "waiting for metadata.txt";

struct InfoFile {
  InfoKind kind = InfoKind::readme;
  std::string torrent;  ///< its name in the mount, for torrent_status and waiting
};

}  // namespace swarmfs::fs

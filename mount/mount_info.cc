// MountService: what the text files of the hidden folder say.
#include <future>
#include <utility>

#include "mount/answer_by.h"
#include "mount/format.h"
#include "mount/mount_service.h"
#include "mount/status_text.h"

namespace swarmfs::mount {

using namespace std::chrono_literals;

/// How long all engines together may take to answer.
static constexpr Duration kAnswerTime = 500ms;

static constexpr const char* kReadme =
    "This is a swarmfs mount: files of torrents, fetched from their peers as they are read.\n"
    "\n"
    "status                   what is here, rates, waiting reads: as \"swarmfs status\" prints it\n"
    "peers                    a line for each peer: torrent, address, client, bytes a second down\n"
    "                         and up, transport, what it does with us and we with it, who told us "
    "of it:\n"
    "                         user, tracker, dht, pex, lsd, magnet, or incoming\n"
    "torrents/<name>/status   of one torrent\n"
    "\n"
    "Each is made when it is opened, and stays as it was for whoever has it open.\n";

static std::string peer_line(const std::string& torrent, const engine::PeerView& peer) {
  std::string line = printable(torrent) + "\t" + peer.endpoint.to_string() + "\t" +
                     (peer.client.empty() ? "-" : printable(peer.client)) + "\tdown " +
                     std::to_string(static_cast<std::uint64_t>(peer.down_bps)) + "\tup " +
                     std::to_string(static_cast<std::uint64_t>(peer.up_bps)) + "\t";
  line += std::string(peer.link.transport) + (peer.link.encrypted ? " encrypted" : "") + "\t";
  line += peer.choking ? "chokes us" : "serves us";
  line += peer.choked ? ", is choked" : ", is served";
  if (peer.snubbed) line += ", stalls";
  line += "\t" + std::string(peer.source ? engine::name_of(*peer.source) : "web seed");
  return line + "\n";
}

std::string MountService::peers_text() {
  using Peers = std::vector<engine::PeerView>;
  // All are asked at once, so that a busy loop costs the time once.
  std::vector<std::pair<std::string, std::future<Peers>>> asked;
  for (const MountedTorrent& torrent : torrents_->list()) {
    const auto content = torrent.source->content();
    if (!content) continue;
    auto promise = std::make_shared<std::promise<Peers>>();
    asked.emplace_back(torrent.name, promise->get_future());
    content->driver().list_peers([promise](Peers peers) { promise->set_value(std::move(peers)); });
  }
  const TimePoint until = std::chrono::steady_clock::now() + kAnswerTime;
  std::string text;
  for (auto& [name, answer] : asked) {
    const auto peers = answer_by(until, answer);
    if (!peers) text += printable(name) + "\ttoo busy to say\n";
    for (const engine::PeerView& peer : peers.value_or(Peers{})) text += peer_line(name, peer);
  }
  return text;
}

std::string MountService::info_text(const fs::InfoFile& file) {
  switch (file.kind) {
    case fs::InfoKind::waiting:
      return links_->text_of(file.torrent);
    case fs::InfoKind::readme:
      return kReadme;
    case fs::InfoKind::status:
      return status_text(status());
    case fs::InfoKind::peers:
      return peers_text();
    case fs::InfoKind::torrent_status: {
      nlohmann::json all = status();
      nlohmann::json of_one = nlohmann::json::array();
      for (auto& torrent : all["torrents"])
        if (torrent["name"] == file.torrent) of_one.push_back(std::move(torrent));
      return status_text({{"mountpoint", options_.mountpoint}, {"torrents", std::move(of_one)}});
    }
  }
  return {};
}

}  // namespace swarmfs::mount

// The sentence that says what a read waits for.
#include <algorithm>

#include "mount/format.h"
#include "mount/why_report.h"

namespace swarmfs::mount {

namespace {

using engine::BlockView;
using engine::CopyView;
using engine::PeerView;
using engine::PieceView;
using engine::ReadView;
using engine::WaitCause;

constexpr std::size_t kNamedPeers = 3;

std::string wait(Duration d) { return human_wait(std::max(0.0, to_seconds(d))); }

std::string who(const PeerView& peer) {
  const std::string address = peer.endpoint.to_string();
  return peer.client.empty() ? address : address + " (" + printable(peer.client) + ")";
}

std::string count_of(std::size_t n, const char* one, const char* many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

/// "10.0.0.2:6881 (x), 10.0.0.3:6881 and 4 more".
std::string names(const PieceView& piece) {
  std::string text;
  const std::size_t shown = std::min(kNamedPeers, piece.peers.size());
  for (std::size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : ", ") + who(piece.peers[i]);
  if (piece.holders > shown) text += " and " + std::to_string(piece.holders - shown) + " more";
  return text;
}

/// The copy that the sentence is about: of the peer that the cause names.
const CopyView* copy_of(const PieceView& piece, const std::optional<Endpoint>& peer) {
  for (const BlockView& block : piece.blocks)
    for (const CopyView& copy : block.copies)
      if (!peer || copy.peer.endpoint == *peer) return &copy;
  return nullptr;
}

std::string asked_sentence(const PieceView& piece, const ReadView& read, bool late) {
  const std::string name = "piece " + std::to_string(piece.piece.value);
  const CopyView* copy = copy_of(piece, read.peer);
  if (copy == nullptr) return name + " has been asked for";
  std::string text = who(copy->peer) + " was asked for " + name + " " + wait(copy->asked) + " ago";
  if (late && copy->silent > copy->expected)
    return text + " and has sent nothing for " + wait(copy->silent);
  if (late) return text + "; it is late, though the peer sends";
  return text + " and should send within " + wait(copy->expected);
}

std::string no_peers_sentence(const Surroundings& around) {
  const engine::TorrentView& t = around.torrent;
  std::string text = "no peer is connected";
  if (t.known == 0) {
    text += " and no address of one is known";
  } else {
    text += "; " + count_of(t.known, "address is", "addresses are") + " known, " +
            std::to_string(t.connecting) + " being tried";
  }
  if (!around.trackers.empty()) text += "; tracker " + printable(around.trackers.front());
  return text;
}

}  // namespace

std::string why_sentence(const ReadView* read, const Surroundings& around) {
  if (!around.answered) return "the program is too busy to say";
  if (around.torrent.contradicted)
    return "the torrent has stopped: its manifest contradicts itself";
  const auto piece = read == nullptr ? nullptr : [&] {
    const auto it = std::find_if(read->pieces.begin(), read->pieces.end(),
                                 [&](const PieceView& p) { return p.cause == read->cause; });
    return it == read->pieces.end() ? nullptr : &*it;
  }();
  if (piece == nullptr) return "its bytes are here and on their way";
  const std::string name = "piece " + std::to_string(piece->piece.value);
  switch (read->cause) {
    case WaitCause::handing_over:
      return "its bytes are here and on their way";
    case WaitCause::verifying:
      return name + " is here and its hash is being checked";
    case WaitCause::leaf_hashes:
      return "the bytes from " + name + " are here, the hashes to check them are still to come" +
             (piece->hashes_asked_of ? " from " + piece->hashes_asked_of->to_string() : "");
    case WaitCause::busy:
      return "who has " + name + " is busy with what was asked before: " + names(*piece);
    case WaitCause::asked:
      return asked_sentence(*piece, *read, false);
    case WaitCause::overdue:
      return asked_sentence(*piece, *read, true);
    case WaitCause::probation:
      return name + " has failed its hash and is fetched again from one peer alone";
    case WaitCause::limited:
      return "the limit for downloads holds back " + name + " (swarmfs limit changes it)";
    case WaitCause::choked:
      return (piece->holders == 1 ? "the only peer that has " + name + " chokes us: "
                                  : "all " + std::to_string(piece->holders) + " peers that have " +
                                        name + " choke us: ") +
             names(*piece);
    case WaitCause::nobody_has:
      return around.torrent.peers == 1 ? "the only connected peer does not have " + name
                                       : "none of the " + std::to_string(around.torrent.peers) +
                                             " connected peers has " + name;
    case WaitCause::no_peers:
      return no_peers_sentence(around);
    case WaitCause::layers:
      return "the torrent lacks the hashes of " + name +
             (piece->hashes_asked_of ? "; asked of " + piece->hashes_asked_of->to_string()
                                     : "; nobody can be asked for them");
    case WaitCause::paused:
      return "the torrent is paused (swarmfs resume lets it go on)";
  }
  return "";
}

}  // namespace swarmfs::mount

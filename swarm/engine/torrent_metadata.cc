// Torrent: the info dictionary for peers that came by a magnet link, and connections from the time
// before we had it ourselves (BEP 9).
#include "swarm/engine/torrent.h"
#include "swarm/engine/torrent_limits.h"
#include "swarm/wire/metadata_message.h"

namespace swarmfs::engine {

/// Not of a private torrent (BEP 27), as libtorrent and Transmission do: its tracker gives each
/// member a manifest of its own.
bool Torrent::serves_metadata() const {
  return !metainfo_->is_private && !metainfo_->info.empty() &&
         metainfo_->info.size() <= wire::kMaxMetadata;
}

void Torrent::on_metadata_message(Peer& peer, ByteView payload, TimePoint now) {
  using Kind = wire::MetadataMessage::Kind;
  const auto message = wire::parse_metadata_message(payload);
  if (!message) return drop(peer, message.error().message, CloseReason::misbehaved, now);
  // Answers are late ones, from before this torrent was known.
  if (message->kind != Kind::request || peer.metadata_id == 0) return;
  const ByteView info = metainfo_->info;
  const auto size = static_cast<std::uint32_t>(info.size());
  const std::uint32_t pieces = wire::metadata_pieces(size);
  wire::MetadataMessage answer{Kind::reject, message->piece, size, {}};
  if (serves_metadata() && message->piece < pieces &&
      peer.metadata_sent < limits::kMetadataCopies * pieces &&
      peer.out.size() <= limits::kMaxUnsentAnswers) {
    const std::uint32_t begin = message->piece * wire::kMetadataPiece;
    answer.kind = Kind::data;
    answer.payload = info.subspan(begin, std::min(wire::kMetadataPiece, size - begin));
    ++peer.metadata_sent;
    up_gate_.take(static_cast<std::uint32_t>(answer.payload.size()), now);
  }
  wire::append_extended(to(peer), peer.metadata_id, wire::encode(answer));
}

std::optional<PeerId> Torrent::adopt_peer(const AdoptedPeer& known, TimePoint now) {
  if (have().count() > 0) return std::nullopt;
  // BEP 27: whom something else than a tracker led to is not met any more, now that the torrent is
  // known to be private.
  if (known.dialled && !book_.add(known.endpoint, known.source, now)) return std::nullopt;
  Peer* const peer = admit(known.endpoint, known.dialled, known.theirs, known.rtt, now);
  if (peer == nullptr) return std::nullopt;
  const PeerId id = peer->id;
  peer->introduced = peer->am_interested = true;
  peer->v2 = known.v2;
  accept_handshake(*peer, known.theirs, now);
  flush(now);
  return id;
}

}  // namespace swarmfs::engine

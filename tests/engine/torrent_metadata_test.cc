// The info dictionary served, and connections taken over (BEP 9).
#include "swarm/wire/metadata_message.h"
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

using Kind = wire::MetadataMessage::Kind;
constexpr std::uint8_t kTheirId = 9;
constexpr std::uint32_t kInfo = 3 * wire::kMetadataPiece + 5;

TestContent with_info(bool is_private = false) {
  TestContent content = v1_content();
  auto m = std::make_shared<metainfo::Metainfo>(*content.metainfo);
  m->info.resize(kInfo);
  for (std::size_t i = 0; i < m->info.size(); ++i) m->info[i] = static_cast<std::uint8_t>(i / 7);
  m->is_private = is_private;
  content.metainfo = m;
  return content;
}

void introduce_metadata(Rig& rig, PeerId peer) {
  wire::ExtensionHandshake theirs;
  theirs.ids.ut_metadata = kTheirId;
  Bytes out;
  wire::append_extended(out, wire::kExtensionHandshakeId, wire::encode(theirs));
  rig.say(peer, out);
}

void ask(Rig& rig, PeerId peer, std::uint32_t piece) {
  Bytes out;
  wire::append_extended(out, limits::kMetadataId, wire::encode({Kind::request, piece, 0, {}}));
  rig.say(peer, out);
}

struct Answer {
  Kind kind;
  std::uint32_t piece;
  std::uint32_t size;
  Bytes payload;
};
std::vector<Answer> answers(Rig& rig, PeerId peer) {
  std::vector<Answer> out;
  for (const auto& extended : rig.host.got<wire::Extended>(peer)) {
    if (extended.id != kTheirId) continue;
    const auto message = wire::parse_metadata_message(extended.payload);
    EXPECT_TRUE(message);
    out.push_back({message->kind, message->piece, message->total_size,
                   Bytes(message->payload.begin(), message->payload.end())});
  }
  return out;
}
wire::ExtensionHandshake said(Rig& rig, PeerId peer) {
  wire::ExtensionHandshake all;
  for (const auto& extended : rig.host.got<wire::Extended>(peer))
    if (extended.id == wire::kExtensionHandshakeId)
      all.merge(*wire::parse_extension_handshake(extended.payload));
  return all;
}

TEST(TorrentMetadata, IsServedInPieces) {
  Rig rig(with_info());
  const PeerId peer = rig.accept(1);
  EXPECT_EQ(said(rig, peer).metadata_size, kInfo);
  EXPECT_EQ(said(rig, peer).ids.ut_metadata, limits::kMetadataId);
  introduce_metadata(rig, peer);
  Bytes whole;
  for (std::uint32_t piece = 0; piece < 4; ++piece) ask(rig, peer, piece);
  for (const Answer& answer : answers(rig, peer)) {
    EXPECT_EQ(answer.kind, Kind::data);
    EXPECT_EQ(answer.size, kInfo);
    append(whole, answer.payload);
  }
  EXPECT_EQ(whole, rig.content.metainfo->info);
}

TEST(TorrentMetadata, WhatIsOutOfRangeIsRejected) {
  Rig rig(with_info());
  const PeerId peer = rig.accept(1);
  introduce_metadata(rig, peer);
  for (const std::uint32_t piece : {4U, 0x7fffffffU, 0xffffffffU}) ask(rig, peer, piece);
  const auto got = answers(rig, peer);
  ASSERT_THAT(got, SizeIs(3));
  for (const Answer& answer : got) EXPECT_EQ(answer.kind, Kind::reject);
  EXPECT_FALSE(rig.closed(peer));
}

TEST(TorrentMetadata, IsSentToOneConnectionTwiceAtMost) {
  Rig rig(with_info());
  const PeerId peer = rig.accept(1);
  introduce_metadata(rig, peer);
  for (int i = 0; i < 100; ++i) ask(rig, peer, 1);
  unsigned sent = 0;
  for (const Answer& answer : answers(rig, peer)) sent += answer.kind == Kind::data ? 1 : 0;
  EXPECT_EQ(sent, limits::kMetadataCopies * 4);
}

TEST(TorrentMetadata, NeverMoreThanSoMuchAtOnce) {
  TestContent content = with_info();
  auto m = std::make_shared<metainfo::Metainfo>(*content.metainfo);
  m->info.resize(200 * wire::kMetadataPiece);
  content.metainfo = m;
  Rig rig(std::move(content));
  const PeerId peer = rig.accept(1);
  introduce_metadata(rig, peer);
  Bytes out;
  for (std::uint32_t i = 0; i < 200; ++i)
    wire::append_extended(out, limits::kMetadataId, wire::encode({Kind::request, i, 0, {}}));
  rig.say(peer, out);
  std::size_t bytes = 0;
  for (const Answer& answer : answers(rig, peer)) bytes += answer.payload.size();
  EXPECT_LE(bytes, limits::kMaxUnsentAnswers + 2 * wire::kMetadataPiece);
  EXPECT_THAT(answers(rig, peer), SizeIs(200)) << "the others are rejected";
}

TEST(TorrentMetadata, OfAPrivateTorrentIsNotGiven) {
  Rig rig(with_info(true));
  const PeerId peer = rig.accept(1);
  EXPECT_FALSE(said(rig, peer).metadata_size);
  EXPECT_FALSE(said(rig, peer).ids.ut_metadata);
  introduce_metadata(rig, peer);
  ask(rig, peer, 0);
  const auto got = answers(rig, peer);
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].kind, Kind::reject);
}

TEST(TorrentMetadata, NonsenseClosesTheConnection) {
  Rig rig(with_info());
  const PeerId peer = rig.accept(1);
  introduce_metadata(rig, peer);
  Bytes out;
  wire::append_extended(out, limits::kMetadataId, as_bytes("i0e"));
  rig.say(peer, out);
  EXPECT_TRUE(rig.closed(peer));
}

// --- connections from before

/// `id`: what it will be; its handshake with us is over.
AdoptedPeer seed_from_before(Rig& rig, unsigned n, PeerId id) {
  rig.host.peers[id].framer = MessageFramer(false);
  AdoptedPeer peer;
  peer.endpoint = address(n);
  peer.dialled = true;
  peer.theirs = rig.handshake(n);
  peer.rtt = 20ms;
  wire::append_plain(peer.received, MessageId::have_all);
  wire::append_plain(peer.received, MessageId::unchoke);
  return peer;
}

TEST(TorrentMetadata, AConnectionFromBeforeIsAskedAtOnce) {
  Rig rig(with_info());
  const AdoptedPeer known = seed_from_before(rig, 1, PeerId(1));
  const auto id = rig.torrent.adopt_peer(known, rig.now);
  ASSERT_TRUE(id);
  rig.say(*id, known.received);
  EXPECT_FALSE(rig.host.got<wire::Request>(*id).empty());
  // What was said before is not said again.
  EXPECT_THAT(rig.host.got<wire::HaveNone>(*id), IsEmpty());
  EXPECT_THAT(rig.host.got<wire::Bitfield>(*id), IsEmpty());
  EXPECT_THAT(rig.host.got<wire::Interested>(*id), IsEmpty());
  EXPECT_EQ(said(rig, *id).metadata_size, kInfo) << "but for what is new";
  const Endpoint again[] = {known.endpoint};
  rig.torrent.add_candidates(again, PeerSource::tracker, rig.now);
  EXPECT_THAT(rig.host.dialled, IsEmpty()) << "it is connected";
  while (!rig.torrent.complete() && rig.serve(*id) > 0) rig.hash();
  EXPECT_TRUE(rig.torrent.complete());
}

TEST(TorrentMetadata, AConnectionThatWasToldOfNothingIsNotTakenOverWithPieces) {
  Rig rig(with_info(), true);
  EXPECT_FALSE(rig.torrent.adopt_peer(seed_from_before(rig, 1, PeerId(1)), rig.now));
}

TEST(TorrentMetadata, ASecondConnectionOfThePeerIsDropped) {
  Rig rig(with_info());
  const PeerId first = rig.seed_peer(1);
  AdoptedPeer known = seed_from_before(rig, 1, PeerId(2));
  known.dialled = false;
  const auto id = rig.torrent.adopt_peer(known, rig.now);
  ASSERT_TRUE(id);
  EXPECT_TRUE(rig.closed(first) != rig.closed(*id));
}

}  // namespace
}  // namespace swarmfs::engine

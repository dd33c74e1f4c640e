// engine::Torrent and pieces that are lost again (BEP 54), by us and by peers.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

/// The extended messages a peer got, the handshake left out.
std::vector<std::pair<unsigned, Bytes>> extended(Rig& rig, PeerId peer) {
  std::vector<std::pair<unsigned, Bytes>> out;
  for (const Bytes& body : rig.host.peers[peer].bodies)
    if (body.size() > 2 && body[0] == 20 && body[1] != wire::kExtensionHandshakeId)
      out.emplace_back(body[1], Bytes(body.begin() + 2, body.end()));
  return out;
}

/// Under which id the engine wants lt_donthave.
std::uint8_t our_id(Rig& rig, PeerId peer) {
  for (const Bytes& body : rig.host.peers[peer].bodies)
    if (body.size() > 2 && body[0] == 20 && body[1] == wire::kExtensionHandshakeId)
      return wire::parse_extension_handshake(ByteView(body).subspan(2))
          .value()
          .ids.lt_donthave.value_or(0);
  return 0;
}

void say_extended(Rig& rig, PeerId peer, std::uint8_t id, const Bytes& payload) {
  Bytes out;
  wire::append_extended(out, id, payload);
  rig.say(peer, out);
}

void wants_dont_have(Rig& rig, PeerId peer, std::uint8_t id) {
  wire::ExtensionHandshake h;
  h.ids.lt_donthave = id;
  say_extended(rig, peer, wire::kExtensionHandshakeId, wire::encode(h));
}

TEST(TorrentDontHave, IsToldToWhoUnderstandsIt) {
  Rig rig(v1_content(), true);
  const PeerId knows = rig.accept(1);
  const PeerId forgot = rig.accept(2);
  const PeerId never = rig.accept(3);
  wants_dont_have(rig, knows, 9);
  wants_dont_have(rig, forgot, 9);
  wants_dont_have(rig, forgot, 0);  // switched off again (BEP 10)
  rig.torrent.on_piece_lost(PieceIndex(5), rig.now);
  EXPECT_THAT(extended(rig, knows), testing::ElementsAre(std::pair(9U, Bytes{0, 0, 0, 5})));
  EXPECT_THAT(extended(rig, forgot), IsEmpty());
  EXPECT_THAT(extended(rig, never), IsEmpty());
  rig.torrent.on_piece_lost(PieceIndex(5), rig.now);
  EXPECT_THAT(extended(rig, knows), SizeIs(1)) << "lost once";
  // A seed no more, so that they let it have the piece again.
  const auto said = rig.host.got<wire::Extended>(never);
  ASSERT_THAT(said, SizeIs(2));
  EXPECT_EQ(wire::parse_extension_handshake(said[0].payload)->upload_only, true);
  EXPECT_EQ(wire::parse_extension_handshake(said[1].payload)->upload_only, false);
}

TEST(TorrentDontHave, RequestsThatWaitForALostPieceAreRejected) {
  Rig rig(v1_content(), true);
  const PeerId peer = rig.accept(1);
  rig.plain(peer, MessageId::have_none);
  rig.plain(peer, MessageId::interested);
  std::uint32_t asked = 0;
  for (const std::uint32_t piece : {1U, 2U, 3U, 4U, 5U, 6U})
    for (std::uint32_t b = 0; b < kPiece / kBlockSize; ++b, ++asked)
      rig.block_ref(peer, MessageId::request, {PieceIndex(piece), b * kBlockSize, kBlockSize});
  const auto& sent = rig.host.peers[peer].blocks;
  ASSERT_LT(sent.size(), asked) << "some wait";
  const PieceIndex lost(6);
  const auto sent_of_it =
      std::count_if(sent.begin(), sent.end(), [&](const BlockRef& b) { return b.piece == lost; });
  rig.torrent.on_piece_lost(lost, rig.now);
  const auto rejects = rig.host.got<wire::Reject>(peer);
  EXPECT_EQ(rejects.size(), kPiece / kBlockSize - static_cast<std::size_t>(sent_of_it));
  for (const auto& reject : rejects) EXPECT_EQ(reject.block.piece, lost);
}

TEST(TorrentDontHave, APeerIsTakenAtItsWordAndOthersAreAsked) {
  Rig rig(v1_content());
  const PeerId loses = rig.seed_peer(1);
  const std::uint8_t id = our_id(rig, loses);
  ASSERT_NE(id, 0);
  const auto asked = rig.host.got<wire::Request>(loses);
  ASSERT_THAT(asked, testing::Not(IsEmpty()));
  const PieceIndex lost = asked[0].block.piece;
  EXPECT_EQ(rig.torrent.stats(rig.now).seeds, 1U);
  const PeerId other = rig.accept(2);
  rig.indexed(other, MessageId::have, lost);
  rig.plain(other, MessageId::unchoke);
  const auto of_piece = [&](PeerId peer) {
    std::size_t n = 0;
    for (const auto& r : rig.host.got<wire::Request>(peer)) n += r.block.piece == lost;
    return n;
  };
  const std::size_t before = of_piece(loses);
  say_extended(rig, loses, id, wire::encode_piece(lost));
  EXPECT_FALSE(rig.closed(loses));
  EXPECT_EQ(rig.torrent.stats(rig.now).seeds, 0U);
  EXPECT_EQ(of_piece(other), kPiece / kBlockSize) << "all of it is asked of who has it";
  for (int i = 0; i < 100 && (rig.serve(other) > 0 ||
                              rig.serve(loses,
                                        [&](const BlockRef&b, Bytes&data) {
                                          if (b.piece == lost)
                                            data[0] ^= 1;  // it has it no longer: must not count
                                        }) > 0);
       ++i)
    rig.hash();
  EXPECT_EQ(of_piece(loses), before) << "never asked for it again";
  EXPECT_EQ(rig.torrent.have().count(), 8U);
  EXPECT_EQ(rig.torrent.stats(rig.now).failed_pieces, 0U);
  // Once it says it has the piece again, it is a seed again.
  EXPECT_FALSE(rig.closed(loses));
  rig.indexed(loses, MessageId::have, lost);
  EXPECT_TRUE(rig.closed(loses)) << "two seeds";
}

TEST(TorrentDontHave, InterestEndsWithTheLastPieceOfUse) {
  Rig rig(v1_content());
  const PeerId peer = rig.accept(1);
  rig.indexed(peer, MessageId::have, PieceIndex(4));
  EXPECT_THAT(rig.host.got<wire::NotInterested>(peer), IsEmpty());
  say_extended(rig, peer, our_id(rig, peer), wire::encode_piece(PieceIndex(4)));
  EXPECT_THAT(rig.host.got<wire::NotInterested>(peer), SizeIs(1));
}

/// A piece begun by one peer alone must not stay its for ever.
TEST(TorrentDontHave, APieceOnProbationIsAnotherPeersThen) {
  Rig rig(make_content(Format::v1, 8 * kBlockSize, {8 * kBlockSize}));
  const PeerId one = rig.seed_peer(1);
  const PeerId two = rig.seed_peer(2);
  // Both sent some of it and one block is wrong: it is fetched again from one peer alone.
  bool spoiled = false;
  for (int i = 0; i < 20 && rig.torrent.stats(rig.now).failed_pieces == 0; ++i) {
    rig.serve(one, [&](const BlockRef&, Bytes& data) {
      if (!std::exchange(spoiled, true)) data[0] ^= 1;
    });
    rig.serve(two);
    rig.hash();
  }
  ASSERT_EQ(rig.torrent.stats(rig.now).failed_pieces, 1U);
  ASSERT_FALSE(rig.closed(one) || rig.closed(two)) << "both sent some of it";
  const bool first = rig.host.got<wire::Request>(one).size() > rig.served[one];
  ASSERT_NE(first, rig.host.got<wire::Request>(two).size() > rig.served[two]) << "one alone";
  const PeerId sole = first ? one : two;
  const PeerId other = first ? two : one;
  say_extended(rig, sole, our_id(rig, sole), wire::encode_piece(PieceIndex(0)));
  while (rig.serve(other) > 0) rig.hash();
  EXPECT_TRUE(rig.torrent.complete());
}

TEST(TorrentDontHave, MalformedOnesEndTheConnection) {
  const std::vector<Bytes> bad = {
      {}, {0}, {0, 0, 0}, {0, 0, 0, 1, 0}, {0, 0, 0, 8}, {255, 255, 255, 255}, Bytes(1000, 0)};
  for (std::size_t i = 0; i < bad.size(); ++i) {
    SCOPED_TRACE(i);
    Rig rig(v1_content());
    const PeerId peer = rig.seed_peer(1);
    say_extended(rig, peer, our_id(rig, peer), bad[i]);
    EXPECT_TRUE(rig.closed(peer));
  }
  Rig rig(v1_content());
  const PeerId peer = rig.seed_peer(1);
  say_extended(rig, peer, 200, {1, 2, 3});
  EXPECT_FALSE(rig.closed(peer)) << "an id that we did not give is ignored";
}

TEST(TorrentDontHave, TakingBackAllTheTimeIsNotPutUpWith) {
  Rig rig(v1_content());
  const PeerId peer = rig.seed_peer(1);
  const std::uint8_t id = our_id(rig, peer);
  Bytes out;
  for (int i = 0; i < 3000; ++i) {
    wire::append_extended(out, id, wire::encode_piece(PieceIndex(1)));
    wire::append_indexed(out, MessageId::have, PieceIndex(1));
  }
  rig.say(peer, out);
  EXPECT_TRUE(rig.closed(peer));
}

}  // namespace
}  // namespace swarmfs::engine

// engine::Torrent and BEP 52: leaf hashes asked for, served, believed and not.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

TEST(Torrent, HybridsUpgradeToV2WhenThePeerSpeaksIt) {
  Rig rig(make_content(Format::hybrid, kPiece, {3 * kPiece}), true);
  const auto& hashes = rig.content.metainfo->hashes;
  const PeerId v2 = rig.accept(1, true);
  EXPECT_EQ(rig.host.peers[v2].handshake->info_hash, *hashes.v2_truncated());
  const PeerId v1 = rig.accept(2, false);
  EXPECT_EQ(rig.host.peers[v1].handshake->info_hash, *hashes.v1);
  Bytes out;
  wire::append_hash_ref(out, MessageId::hash_request, {});
  rig.say(v2, out);
  EXPECT_FALSE(rig.closed(v2));
  rig.say(v1, out);
  EXPECT_TRUE(rig.closed(v1)) << "v2 messages on a v1 connection";
}

TEST(Torrent, AnswersHashRequestsThatProveThemselves) {
  namespace merkle = metainfo::merkle;
  const std::uint64_t length = 5 * kPiece + 3 * kBlockSize + 1;
  Rig rig(make_content(Format::v2, kPiece, {length}), true);
  const PeerId peer = rig.accept(1, true);
  const auto ask = [&](std::uint32_t base, std::uint32_t index, std::uint32_t run,
                       std::uint32_t proof) {
    Bytes out;
    const wire::HashRef ref{*rig.content.metainfo->files[0].pieces_root, base, index, run, proof};
    wire::append_hash_ref(out, MessageId::hash_request, ref);
    rig.say(peer, out);
  };
  const unsigned top = merkle::height(length);
  const unsigned piece_level = merkle::piece_level(kPiece);
  ask(piece_level, 0, 8, 0);
  ask(piece_level, 4, 2, merkle::proof_layers_to_root(piece_level, top));
  ask(0, 20, 4, merkle::proof_layers_to_root(0, top));
  ASSERT_THAT(rig.host.leaves_wanted, testing::ElementsAre(PieceIndex(5)));
  rig.torrent.on_leaves(PieceIndex(5), rig.content.leaves(PieceIndex(5)), rig.now);
  const auto answers = rig.host.got<wire::Hashes>(peer);
  ASSERT_THAT(answers, SizeIs(3));
  for (const auto& answer : answers)
    EXPECT_TRUE(merkle::proves(
        {answer.ref.base_layer, answer.ref.index, answer.ref.length, answer.ref.proof_layers},
        answer.hashes, top, answer.ref.pieces_root));
  // Runs over several pieces, of no power of two, of nothing, or beyond the file.
  ask(0, 0, 8, 0);
  ask(0, 0, 3, 0);
  ask(0, 0, 0, 0);
  ask(0, 1U << 30, 4, 0);
  ask(40, 0, 2, 0);
  EXPECT_THAT(rig.host.got<wire::HashReject>(peer), SizeIs(5));
  EXPECT_FALSE(rig.closed(peer));
}

TEST(Torrent, AFloodOfHashRequestsCostsBoundedMemoryAndWork) {
  Rig rig(make_content(Format::v2, kBlockSize, {64 * kBlockSize}), true);
  const PeerId peer = rig.accept(1, true);
  const auto root = *rig.content.metainfo->files[0].pieces_root;
  Bytes out;
  for (int i = 0; i < 5000; ++i)
    wire::append_hash_ref(out, MessageId::hash_request, {root, 0, 0, 64, 0});
  rig.say(peer, out);
  EXPECT_LT(rig.host.peers[peer].bytes, limits::kMaxUnsentAnswers + (600U << 10));
  Rig deep(make_content(Format::v2, kPiece, {8 * kPiece}), true);
  const PeerId asker = deep.accept(1, true);
  Bytes leaves;
  for (int i = 0; i < 5000; ++i)
    wire::append_hash_ref(leaves, MessageId::hash_request,
                          {*deep.content.metainfo->files[0].pieces_root, 0, 4, 4, 0});
  deep.say(asker, leaves);
  EXPECT_THAT(deep.host.leaves_wanted, SizeIs(1));
  deep.torrent.on_leaves(PieceIndex(1), deep.content.leaves(PieceIndex(1)), deep.now);
  EXPECT_THAT(deep.host.got<wire::Hashes>(asker), SizeIs(limits::kMaxPeerLeafRequests));
  EXPECT_THAT(deep.host.got<wire::HashReject>(asker), SizeIs(5000 - limits::kMaxPeerLeafRequests));
}

TEST(Torrent, ABlockIsReadAsSoonAsItsLeafHashProvesIt) {
  for (const Format format : {Format::v2, Format::hybrid}) {
    Rig rig(make_content(format, kPiece, {3 * kPiece + 20'000}));
    const PeerId peer = rig.seed_peer(1, true);
    ASSERT_EQ(rig.host.peers[peer].handshake->info_hash,
              *rig.content.metainfo->hashes.v2_truncated());
    // The last piece: two blocks, the second short.
    rig.torrent.add_read(ReadId(1), HandleId(1),
                         rig.content.layout().spans(FileIndex(0), 3 * kPiece + 17'000, 100),
                         rig.now);
    const auto asked = rig.host.got<wire::HashRequest>(peer);
    ASSERT_THAT(asked, SizeIs(1));
    rig.tell_leaves(peer, PieceIndex(3), asked[0].ref);
    EXPECT_FALSE(rig.closed(peer));
    // Nothing is hashed as a whole, so only the leaf can vouch for it.
    while (rig.host.ready.empty() && rig.serve(peer) > 0) {
    }
    EXPECT_THAT(rig.host.ready, testing::ElementsAre(ReadId(1)));
    EXPECT_TRUE(rig.host.kept_blocks.contains({PieceIndex(3), 1}));
  }
}

TEST(Torrent, WrongHashesAndWrongBlocksNameTheirSenderAtOnce) {
  Rig rig(make_content(Format::v2, kPiece, {4 * kPiece}));
  const auto read = rig.content.layout().spans(FileIndex(0), 0, 100);
  const PeerId liar = rig.seed_peer(1, true);
  rig.torrent.add_read(ReadId(1), HandleId(1), read, rig.now);
  auto asked = rig.host.got<wire::HashRequest>(liar);
  ASSERT_THAT(asked, SizeIs(1));
  auto hashes = rig.leaf_answer(PieceIndex(0), asked[0].ref);
  hashes[0] = {};
  Bytes bad;
  wire::append_hashes(bad, asked[0].ref, hashes);
  rig.say(liar, bad);
  EXPECT_TRUE(rig.closed(liar));

  const PeerId second = rig.seed_peer(2, true);
  asked = rig.host.got<wire::HashRequest>(second);
  ASSERT_THAT(asked, SizeIs(1)) << "the next able peer is asked";
  rig.tell_leaves(second, PieceIndex(0), asked[0].ref);
  EXPECT_FALSE(rig.closed(second));
  rig.serve(second, [](const BlockRef&, Bytes& data) { data[0] ^= 1; });
  EXPECT_TRUE(rig.closed(second));
  EXPECT_THAT(rig.host.ready, IsEmpty());
}

}  // namespace
}  // namespace swarmfs::engine

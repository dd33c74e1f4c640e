// engine::Torrent and reads of several blocks: told of their start as it comes.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

using testing::ElementsAre;
using testing::Pair;

struct ReadRig : Rig {
  using Rig::Rig;
  void read(std::uint64_t id, std::uint64_t offset, std::uint32_t length) {
    torrent.add_read(ReadId(id), HandleId(1), content.layout().spans(FileIndex(0), offset, length),
                     now);
  }
  void send(PeerId peer, PieceIndex piece, std::uint32_t block) {
    const BlockPtr data = content.block(piece, block);
    Bytes out;
    wire::append_piece_header(out, {piece, block * kBlockSize, data->size});
    append(out, data->view());
    say(peer, out);
  }
  void send_piece(PeerId peer, PieceIndex piece) {
    for (std::uint32_t b = 0; b < 4; ++b) send(peer, piece, b);
    hash();
  }
  /// The leaf hashes that were asked for.
  void send_leaves(PeerId peer) {
    for (const auto& asked : host.got<wire::HashRequest>(peer))
      if (asked.ref.base_layer == 0) tell_leaves(peer, PieceIndex(asked.ref.index / 4), asked.ref);
  }
};

TEST(TorrentReads, GrowBlockByBlockWhereBlocksAreVerifiedAlone) {
  ReadRig rig(make_content(Format::v2, kPiece, {4 * kPiece}));
  const PeerId peer = rig.seed_peer(1, true);
  rig.read(1, 1000, 3 * kBlockSize);  // blocks 0 to 3 of piece 0
  rig.send_leaves(peer);
  rig.send(peer, PieceIndex(0), 1);
  EXPECT_THAT(rig.host.grown, IsEmpty()) << "not its start";
  rig.send(peer, PieceIndex(0), 0);
  EXPECT_THAT(rig.host.grown, ElementsAre(Pair(ReadId(1), 2 * kBlockSize - 1000)));
  rig.send(peer, PieceIndex(0), 2);
  EXPECT_THAT(rig.host.grown, SizeIs(2));
  EXPECT_EQ(rig.host.grown.back().second, 3 * kBlockSize - 1000);
  EXPECT_THAT(rig.host.ready, IsEmpty());
  rig.send(peer, PieceIndex(0), 3);
  EXPECT_THAT(rig.host.ready, ElementsAre(ReadId(1)));
  EXPECT_THAT(rig.host.grown, SizeIs(2)) << "all of it is no start";
}

TEST(TorrentReads, GrowByPiecesWhereOnlyThoseAreVerified) {
  ReadRig rig(v1_content());
  const PeerId peer = rig.seed_peer(1);
  rig.read(1, kPiece + 5, 3 * kPiece);  // pieces 1 to 4
  rig.send_piece(peer, PieceIndex(1));
  EXPECT_THAT(rig.host.grown, ElementsAre(Pair(ReadId(1), kPiece - 5)));
  rig.send(peer, PieceIndex(2), 0);
  EXPECT_THAT(rig.host.grown, SizeIs(1)) << "not verified";
  rig.send_piece(peer, PieceIndex(3));
  EXPECT_THAT(rig.host.grown, SizeIs(1)) << "there is a gap before it";
  rig.send_piece(peer, PieceIndex(2));
  ASSERT_THAT(rig.host.grown, SizeIs(2));
  EXPECT_EQ(rig.host.grown[1].second, 3 * kPiece - 5);
}

TEST(TorrentReads, AreToldAtOnceOfWhatWasHereBefore) {
  ReadRig rig(v1_content());
  const PeerId peer = rig.seed_peer(1);
  rig.read(1, 0, 100);
  rig.send_piece(peer, PieceIndex(0));
  ASSERT_THAT(rig.host.ready, ElementsAre(ReadId(1)));
  rig.read(2, kPiece - 4096, 8192);
  EXPECT_THAT(rig.host.grown, ElementsAre(Pair(ReadId(2), 4096U)));
  rig.read(3, kPiece, 4096);
  EXPECT_THAT(rig.host.grown, SizeIs(1)) << "nothing of it is here";
  rig.send_piece(peer, PieceIndex(1));
  EXPECT_THAT(rig.host.ready, ElementsAre(ReadId(1), ReadId(2), ReadId(3)));
  EXPECT_THAT(rig.host.grown, SizeIs(1));
}

TEST(TorrentReads, AreSpreadOverPeersByWhoBringsABlockFirst) {
  TorrentConfig config;
  config.on_demand = true;
  ReadRig rig(v1_content(20), false, config);
  const PeerId a = rig.seed_peer(1), b = rig.seed_peer(2);
  rig.read(1, 8 * kPiece, 4 * kPiece);
  EXPECT_THAT(rig.host.got<wire::Request>(a), SizeIs(8)) << "two peers of one speed get half each";
  EXPECT_THAT(rig.host.got<wire::Request>(b), SizeIs(8));
  while (rig.serve(a) + rig.serve(b) > 0) rig.hash();
  EXPECT_THAT(rig.host.ready, ElementsAre(ReadId(1)));
}

TEST(TorrentReads, LeafHashesAreAskedOfAPeerWithAShortQueue) {
  TorrentConfig config;
  config.on_demand = true;
  ReadRig rig(make_content(Format::v2, kPiece, {16 * kPiece}), false, config);
  const PeerId busy = rig.seed_peer(1, true);
  rig.read(1, 0, 2 * kPiece);
  ASSERT_THAT(rig.host.got<wire::Request>(busy), testing::Not(IsEmpty()));
  const PeerId idle = rig.seed_peer(2, true);
  rig.read(2, 8 * kPiece, 4096);
  ASSERT_THAT(rig.host.got<wire::HashRequest>(idle), SizeIs(1));
  EXPECT_EQ(rig.host.got<wire::HashRequest>(idle)[0].ref.index / 4, 8U);
}

TEST(TorrentReads, OfOneBlockAreNeverToldOfAStart) {
  ReadRig rig(make_content(Format::v2, kPiece, {4 * kPiece}));
  const PeerId peer = rig.seed_peer(1, true);
  rig.read(1, kBlockSize, kBlockSize);
  rig.send_leaves(peer);
  for (std::uint32_t b = 0; b < 4; ++b) rig.send(peer, PieceIndex(0), b);
  EXPECT_THAT(rig.host.ready, ElementsAre(ReadId(1)));
  EXPECT_THAT(rig.host.grown, IsEmpty());
}

TEST(TorrentReads, AreToldNothingOnceCancelled) {
  ReadRig rig(v1_content());
  const PeerId peer = rig.seed_peer(1);
  rig.read(1, 0, 2 * kPiece);
  rig.torrent.cancel_read(ReadId(1), rig.now);
  rig.send_piece(peer, PieceIndex(0));
  EXPECT_THAT(rig.host.grown, IsEmpty());
}

}  // namespace
}  // namespace swarmfs::engine

// engine::Torrent and web seeds.
#include <array>

#include "swarm/engine/web_seed.h"
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

PeerId join(Rig& rig, unsigned n) {
  const auto id = rig.torrent.add_web_seed(
      address(n), WebSeed::handshake(rig.content.metainfo->hashes, client(n)), 20ms, rig.now);
  EXPECT_TRUE(id);
  rig.plain(*id, MessageId::have_all);
  rig.plain(*id, MessageId::unchoke);
  return *id;
}

TEST(TorrentWeb, IsNotCountedAmongThePeers) {
  TorrentConfig config;
  config.peer_book.max_connections = 1;
  Rig rig(make_content(Format::v1, kPiece, {40 * kPiece}), false, config);
  join(rig, 1);
  join(rig, 2);
  EXPECT_EQ(rig.torrent.stats(rig.now).web_seeds, 2U);
  EXPECT_EQ(rig.torrent.stats(rig.now).peers, 0U);
  rig.accept(3);
  EXPECT_EQ(rig.torrent.stats(rig.now).peers, 1U);
}

TEST(TorrentWeb, IsAskedForLongRuns) {
  Rig rig(make_content(Format::v1, 64 * kBlockSize, {200 * kBlockSize}));
  const PeerId web = join(rig, 1);
  rig.torrent.add_read(ReadId(1), HandleId(1), {{PieceIndex(1), 0, 4096}}, rig.now);
  unsigned of_piece = 0;
  for (const auto& request : rig.host.got<wire::Request>(web))
    of_piece += request.block.piece == PieceIndex(1) ? 1 : 0;
  EXPECT_EQ(of_piece, 64U) << "a whole piece for a reader, though nothing has come yet";
}

TEST(TorrentWeb, TwoShareAPieceInRunsAndNotBlockByBlock) {
  TorrentConfig config;
  config.on_demand = true;
  Rig rig(make_content(Format::v1, 64 * kBlockSize, {200 * kBlockSize}), false, config);
  const std::array<PeerId, 2> web = {join(rig, 1), join(rig, 2)};
  rig.torrent.add_read(ReadId(1), HandleId(1), {{PieceIndex(0), 0, 4096}}, rig.now);
  while (rig.serve(web[0]) + rig.serve(web[1]) > 0) rig.hash();
  ASSERT_THAT(rig.host.ready, testing::ElementsAre(ReadId(1)));
  rig.torrent.add_read(ReadId(2), HandleId(1), {{PieceIndex(1), 0, 4096}}, rig.now);
  unsigned blocks = 0, runs = 0;
  for (const PeerId peer : web) {
    std::uint32_t next = 1;  // no block begins here
    for (const auto& request : rig.host.got<wire::Request>(peer)) {
      if (request.block.piece != PieceIndex(1)) continue;
      ++blocks;
      runs += request.block.begin == next ? 0 : 1;
      next = request.block.begin + kBlockSize;
    }
  }
  EXPECT_EQ(blocks, 64U);
  EXPECT_LE(runs, 4U);
}

TEST(TorrentWeb, ForWrongBytesItsUrlGoesAndNotItsAddress) {
  Rig rig(make_content(Format::v1, kPiece, {kPiece}));
  const PeerId web = join(rig, 1);
  for (std::uint32_t b = 0; b < 4; ++b) {
    Bytes out;
    wire::append_piece_header(out, {PieceIndex(0), b * kBlockSize, kBlockSize});
    out.resize(out.size() + kBlockSize);
    rig.say(web, out);
  }
  rig.torrent.on_piece_hashed(PieceIndex(0), metainfo::PieceCheck::bad, rig.now);
  EXPECT_THAT(rig.host.distrusted, testing::ElementsAre(web));
  EXPECT_TRUE(rig.host.peers[web].closed);
  rig.accept(1);  // a peer at the same address
}

TEST(TorrentWeb, ThatDoesNotHaveManyPiecesIsNoOffender) {
  Rig rig(make_content(Format::v1, kBlockSize, {3000 * kBlockSize}));
  const PeerId web = join(rig, 1);
  for (std::uint32_t p = 0; p < 2999; ++p) {
    Bytes out;
    wire::append_extended(out, 1, wire::encode_piece(PieceIndex(p)));
    rig.say(web, out);
  }
  EXPECT_FALSE(rig.host.peers[web].closed);
}

TEST(TorrentWeb, IsNotNeededWhenEverythingIsHere) {
  Rig rig(make_content(Format::v1, kPiece, {kPiece}), true);
  EXPECT_FALSE(rig.torrent.add_web_seed(
      address(1), WebSeed::handshake(rig.content.metainfo->hashes, client(1)), 20ms, rig.now));
}

}  // namespace
}  // namespace swarmfs::engine

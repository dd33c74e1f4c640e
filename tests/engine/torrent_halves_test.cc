// engine::Torrent: an urgent block in halves from two idle peers.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

TorrentConfig on_demand() {
  TorrentConfig config;
  config.on_demand = true;
  return config;
}

/// Two seeds that have nothing to do, and a read of one block whose leaf hash `b` is asked for.
struct Halves {
  Rig rig{make_content(Format::v2, kPiece, {4 * kPiece}), false, on_demand()};
  PeerId b = rig.seed_peer(1, true);
  PeerId a = rig.seed_peer(2, true);

  void read(std::uint64_t offset, std::uint64_t length, ReadId id = ReadId(1)) {
    rig.torrent.add_read(id, HandleId(1), rig.content.layout().spans(FileIndex(0), offset, length),
                         rig.now);
  }
  void tell_leaves() {
    for (const PeerId peer : {a, b}) {
      for (const auto& asked : rig.host.got<wire::HashRequest>(peer))
        rig.tell_leaves(peer, PieceIndex(asked.ref.index / 4), asked.ref);
    }
  }
  std::vector<BlockRef> asked(PeerId peer) {
    std::vector<BlockRef> blocks;
    for (const auto& request : rig.host.got<wire::Request>(peer)) blocks.push_back(request.block);
    return blocks;
  }
  std::vector<BlockRef> cancelled(PeerId peer) {
    std::vector<BlockRef> blocks;
    for (const auto& cancel : rig.host.got<wire::Cancel>(peer)) blocks.push_back(cancel.block);
    return blocks;
  }
};

constexpr BlockRef kFirst{PieceIndex(1), 0, kHalfBlock};
constexpr BlockRef kSecond{PieceIndex(1), kHalfBlock, kHalfBlock};
constexpr BlockRef kWhole{PieceIndex(1), 0, kBlockSize};

TEST(Halves, ComeFromTwoPeersAndMakeABlock) {
  Halves h;
  h.read(kPiece + 5000, 4096);
  EXPECT_THAT(h.asked(h.a), testing::ElementsAre(kFirst));
  EXPECT_THAT(h.asked(h.b), testing::ElementsAre(kSecond));
  h.tell_leaves();
  h.rig.serve(h.b);
  EXPECT_THAT(h.rig.host.ready, IsEmpty());
  h.rig.serve(h.a);
  EXPECT_THAT(h.rig.host.ready, testing::ElementsAre(ReadId(1)));
  EXPECT_TRUE(h.rig.host.kept_blocks.contains({PieceIndex(1), 0}));
  EXPECT_EQ(h.rig.torrent.stats(h.rig.now).wasted, 0U);
  EXPECT_EQ(h.rig.torrent.stats(h.rig.now).downloaded, kBlockSize);
}

TEST(Halves, AreNotForSeveralBlocksNorForOnePeerNorForV1) {
  Halves several;
  several.read(kPiece, 2 * kBlockSize);
  EXPECT_THAT(several.asked(several.a), testing::Contains(kWhole));
  EXPECT_THAT(several.asked(several.b), testing::Not(testing::Contains(kSecond)));
  Rig alone(make_content(Format::v2, kPiece, {4 * kPiece}), false, on_demand());
  const PeerId only = alone.seed_peer(1, true);
  alone.torrent.add_read(ReadId(1), HandleId(1),
                         alone.content.layout().spans(FileIndex(0), kPiece, 100), alone.now);
  ASSERT_THAT(alone.host.got<wire::Request>(only), SizeIs(1));
  EXPECT_EQ(alone.host.got<wire::Request>(only)[0].block, kWhole);
  Rig v1(v1_content(), false, on_demand());
  const PeerId seed = v1.seed_peer(1);
  v1.seed_peer(2);
  v1.torrent.add_read(ReadId(1), HandleId(1), v1.content.layout().spans(FileIndex(0), kPiece, 100),
                      v1.now);
  for (const auto& request : v1.host.got<wire::Request>(seed))
    EXPECT_EQ(request.block.length, kBlockSize);
}

TEST(Halves, TheOneWhoSentABadOneIsFoundOut) {
  Halves h;
  h.read(kPiece + 5000, 4096);
  h.tell_leaves();
  h.rig.serve(h.a);
  h.rig.serve(h.b, [](const BlockRef&, Bytes& data) { data[9] ^= 1; });
  // Nobody can say yet which half is wrong.
  EXPECT_THAT(h.rig.host.ready, IsEmpty());
  EXPECT_FALSE(h.rig.closed(h.a));
  EXPECT_FALSE(h.rig.closed(h.b));
  const bool of_a = h.asked(h.a).size() == 2;
  ASSERT_EQ(h.asked(of_a ? h.a : h.b).back(), kWhole) << "asked whole, of one peer";
  h.rig.serve(of_a ? h.a : h.b);
  EXPECT_THAT(h.rig.host.ready, testing::ElementsAre(ReadId(1)));
  EXPECT_TRUE(h.rig.closed(h.b));
  EXPECT_FALSE(h.rig.closed(h.a));
}

TEST(Halves, OfAPeerThatChokesOrLeavesAreAskedWholeOfAnother) {
  for (const bool first_is_here : {false, true}) {
    for (const bool leaves : {false, true}) {
      Halves h;
      h.read(kPiece + 5000, 4096);
      h.tell_leaves();
      if (first_is_here) h.rig.serve(h.a);
      if (leaves) {
        h.rig.torrent.on_closed(h.b, h.rig.now);
      } else {
        h.rig.plain(h.b, MessageId::choke);
        h.rig.block_ref(h.b, MessageId::reject, kSecond);
      }
      if (!first_is_here) {
        EXPECT_THAT(h.cancelled(h.a), testing::ElementsAre(kFirst));
      }
      EXPECT_THAT(h.asked(h.a), testing::ElementsAre(kFirst, kWhole));
      h.rig.serve(h.a);
      EXPECT_THAT(h.rig.host.ready, testing::ElementsAre(ReadId(1)));
      EXPECT_FALSE(h.rig.closed(h.a));
    }
  }
}

TEST(Halves, OfASilentPeerAreOvertakenByTheOther) {
  Halves h;
  h.read(kPiece + 5000, 4096);
  h.tell_leaves();
  h.rig.serve(h.a);
  h.rig.pass(3s);
  EXPECT_THAT(h.asked(h.a), testing::ElementsAre(kFirst, kWhole));
  h.rig.serve(h.a);
  EXPECT_THAT(h.rig.host.ready, testing::ElementsAre(ReadId(1)));
  EXPECT_THAT(h.cancelled(h.b), testing::ElementsAre(kSecond));
  // It comes all the same, and is no reason to take offence.
  h.rig.serve(h.b);
  EXPECT_FALSE(h.rig.closed(h.b));
  EXPECT_EQ(h.rig.torrent.stats(h.rig.now).wasted, 2 * kHalfBlock);
}

TEST(Halves, AreTakenBackWhenNobodyReadsAnyMore) {
  Halves h;
  h.read(kPiece + 5000, 4096);
  h.rig.torrent.cancel_read(ReadId(1), h.rig.now);
  EXPECT_THAT(h.cancelled(h.a), testing::ElementsAre(kFirst));
  EXPECT_THAT(h.cancelled(h.b), testing::ElementsAre(kSecond));
  h.rig.serve(h.a);
  h.rig.serve(h.b);
  EXPECT_FALSE(h.rig.closed(h.a));
  h.read(kPiece + 5000, 4096, ReadId(2));
  h.tell_leaves();
  h.rig.serve(h.a);
  h.rig.serve(h.b);
  EXPECT_THAT(h.rig.host.ready, testing::ElementsAre(ReadId(2)));
}

}  // namespace
}  // namespace swarmfs::engine

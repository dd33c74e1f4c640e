// engine::Torrent and piece layers that the manifest lacks (BEP 52): asked for, proven, used.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

namespace merkle = metainfo::merkle;

/// A torrent without layers, and peers that answer for them as they are told.
struct LayerRig : Rig {
  explicit LayerRig(const TestContent& c, TorrentConfig config = {})
      : Rig(test::without_layers(c), false, config) {}

  /// A right answer to a request for a piece layer of the first file.
  merkle::Hashes right(const wire::HashRef& ref) const {
    const std::uint64_t length = content.metainfo->files[0].length;
    const merkle::HashTree tree(test::layer_of(content, FileIndex(0)), ref.base_layer,
                                merkle::height(length));
    return merkle::answer({ref.base_layer, ref.index, ref.length, ref.proof_layers},
                          [&](unsigned level, std::uint64_t i) { return tree.node(level, i); })
        .value();
  }
  void hashes(PeerId peer, const wire::HashRef& ref, const merkle::Hashes& list) {
    Bytes out;
    wire::append_hashes(out, ref, list);
    say(peer, out);
  }
  void reject(PeerId peer, const wire::HashRef& ref) {
    Bytes out;
    wire::append_hash_ref(out, MessageId::hash_reject, ref);
    say(peer, out);
  }
  /// Requests for piece layers that a peer has been sent since the last call.
  std::vector<wire::HashRef> asked(PeerId peer) {
    const unsigned level = merkle::piece_level(content.layout().piece_length());
    std::vector<wire::HashRef> refs;
    for (const auto& request : host.got<wire::HashRequest>(peer))
      if (request.ref.base_layer == level) refs.push_back(request.ref);
    std::size_t& seen = asked_before[peer];
    refs.erase(refs.begin(),
               refs.begin() + static_cast<std::ptrdiff_t>(std::exchange(seen, refs.size())));
    return refs;
  }
  std::map<PeerId, std::size_t> asked_before;
};

/// 1100 pieces of one block: a layer of three runs in a tree of 2048 nodes, two of them padded.
TestContent three_runs(Format format = Format::v2) {
  return make_content(format, kBlockSize, {1100 * std::uint64_t{kBlockSize} - 77});
}

TEST(TorrentLayers, AreAskedForInProvenRunsTwoAtATime) {
  LayerRig rig(three_runs());
  const PeerId peer = rig.seed_peer(1, true);
  EXPECT_THAT(rig.host.got<wire::Request>(peer), IsEmpty()) << "nothing could be verified";
  const auto first = rig.asked(peer);
  ASSERT_THAT(first, SizeIs(2));
  for (std::uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(first[i].index, i * 512);
    EXPECT_EQ(first[i].length, 512U);
    EXPECT_EQ(first[i].proof_layers, 10U);
    EXPECT_EQ(first[i].pieces_root, *rig.content.metainfo->files[0].pieces_root);
  }
  rig.hashes(peer, first[1], rig.right(first[1]));
  EXPECT_TRUE(rig.roots->of(PieceIndex(512)));
  EXPECT_FALSE(rig.roots->of(PieceIndex(0)));
  EXPECT_THAT(rig.host.got<wire::Request>(peer), testing::Not(IsEmpty()))
      << "a run is of use alone";
  for (const auto& request : rig.host.got<wire::Request>(peer))
    EXPECT_TRUE(request.block.piece.value / 512 == 1);
  const auto third = rig.asked(peer);
  ASSERT_THAT(third, SizeIs(1));
  EXPECT_EQ(rig.host.layers_learnt, 0U);
  rig.hashes(peer, first[0], rig.right(first[0]));
  rig.hashes(peer, third[0], rig.right(third[0]));
  EXPECT_EQ(rig.host.layers_learnt, 1U);
  EXPECT_EQ(rig.torrent.stats(rig.now).layers_missing, 0U);
  EXPECT_THAT(rig.asked(peer), IsEmpty());
  while (rig.serve(peer) > 0) rig.hash();
  EXPECT_TRUE(rig.torrent.complete());
  for (const auto& [piece, blocks] : rig.host.kept)
    EXPECT_EQ(Bytes(blocks[0]->view().begin(), blocks[0]->view().end()),
              rig.content.pieces[piece.value]);
}

TEST(TorrentLayers, AHybridNeedsNoneToBeginAndChecksBothHashesOnceItHasThem) {
  LayerRig rig(make_content(Format::hybrid, kPiece, {9 * kPiece}));
  const PeerId peer = rig.seed_peer(1, true);
  EXPECT_THAT(rig.host.got<wire::Request>(peer), testing::Not(IsEmpty()));
  const auto asked = rig.asked(peer);
  ASSERT_THAT(asked, SizeIs(1));
  rig.hashes(peer, asked[0], rig.right(asked[0]));
  EXPECT_TRUE(rig.roots->of(PieceIndex(8)));
  while (rig.serve(peer) > 0) rig.hash();
  EXPECT_TRUE(rig.torrent.complete());
}

TEST(TorrentLayers, OnlyV2ConnectionsAreAsked) {
  LayerRig rig(make_content(Format::hybrid, kPiece, {9 * kPiece}));
  const PeerId v1 = rig.seed_peer(1, false);
  EXPECT_THAT(rig.asked(v1), IsEmpty());
}

TEST(TorrentLayers, AWrongOneGetsItsSenderBannedAndTheNextPeerIsAsked) {
  const auto spoil = [](merkle::Hashes& hashes, unsigned how) {
    switch (how) {
      case 0:
        hashes[3][5] ^= 1;
        break;  // a node
      case 1:
        hashes.back()[0] ^= 1;
        break;  // an uncle
      case 2:
        std::swap(hashes[0], hashes[1]);
        break;  // the order
      case 3:
        hashes.pop_back();
        break;  // an uncle is missing
      case 4:
        hashes.emplace_back();
        break;  // one too many
      case 5:
        std::fill(hashes.begin(), hashes.end(), Sha256Hash{});
        break;
      default:
        hashes.clear();
    }
  };
  for (unsigned how = 0; how < 7; ++how) {
    SCOPED_TRACE(how);
    LayerRig rig(three_runs());
    const PeerId liar = rig.seed_peer(1, true);
    const PeerId honest = rig.seed_peer(2, true);
    const auto lied = rig.asked(liar);
    ASSERT_THAT(lied, SizeIs(2));
    EXPECT_THAT(rig.asked(honest), SizeIs(1)) << "the third run";
    merkle::Hashes wrong = rig.right(lied[0]);
    spoil(wrong, how);
    rig.hashes(liar, lied[0], wrong);
    EXPECT_TRUE(rig.closed(liar));
    EXPECT_EQ(rig.torrent.stats(rig.now).banned, 1U);
    EXPECT_EQ(rig.roots->unknown(), 1100U) << "nothing of it was believed";
    EXPECT_THAT(rig.asked(honest), testing::ElementsAre(lied[0])) << "two at a time";
  }
}

TEST(TorrentLayers, WhoRejectsRestsAndIsAskedAgainLater) {
  LayerRig rig(make_content(Format::v2, kPiece, {9 * kPiece}));
  const PeerId peer = rig.seed_peer(1, true);
  auto asked = rig.asked(peer);
  ASSERT_THAT(asked, SizeIs(1));
  rig.reject(peer, asked[0]);
  rig.indexed(peer, MessageId::have, PieceIndex(0));
  rig.pass(limits::kLayerRest - 1s);
  EXPECT_THAT(rig.asked(peer), IsEmpty());
  const PeerId other = rig.seed_peer(2, true);
  const auto of_other = rig.asked(other);
  ASSERT_THAT(of_other, SizeIs(1)) << "another peer need not wait";
  rig.reject(other, of_other[0]);
  rig.pass(2s);
  asked = rig.asked(peer);
  ASSERT_THAT(asked, SizeIs(1)) << "it may have learnt the layer meanwhile";
  rig.hashes(peer, asked[0], rig.right(asked[0]));
  EXPECT_EQ(rig.roots->unknown(), 0U);
  EXPECT_FALSE(rig.closed(peer));
}

TEST(TorrentLayers, WhoStallsIsPassedOverAndItsLateAnswerIsIgnored) {
  LayerRig rig(make_content(Format::v2, kPiece, {9 * kPiece}));
  const PeerId slow = rig.seed_peer(1, true);
  const auto asked = rig.asked(slow);
  ASSERT_THAT(asked, SizeIs(1));
  const PeerId quick = rig.seed_peer(2, true);
  rig.pass(limits::kHashTimeout - 1ms);
  EXPECT_THAT(rig.asked(quick), IsEmpty()) << "one at a time is asked for a run";
  rig.pass(2ms);
  EXPECT_EQ(rig.asked(quick), asked);
  merkle::Hashes wrong = rig.right(asked[0]);
  wrong[0][0] ^= 1;
  rig.hashes(slow, asked[0], wrong);
  EXPECT_EQ(rig.roots->unknown(), 9U);
  rig.hashes(quick, asked[0], rig.right(asked[0]));
  EXPECT_EQ(rig.roots->unknown(), 0U);
}

TEST(TorrentLayers, AReadWaitsForItsRunWhichComesFirst) {
  for (const bool on_demand : {false, true}) {
    TorrentConfig config;
    config.on_demand = on_demand;
    LayerRig rig(three_runs(), config);
    rig.torrent.add_read(ReadId(1), HandleId(1),
                         rig.content.layout().spans(FileIndex(0), 1030 * kBlockSize + 5, 100),
                         rig.now);
    const PeerId peer = rig.seed_peer(1, true);
    const auto asked = rig.asked(peer);
    ASSERT_THAT(asked, SizeIs(2));
    EXPECT_EQ(asked[0].index, 1024U);
    rig.pass(3s);
    rig.hashes(peer, asked[0], rig.right(asked[0]));
    const auto requests = rig.host.got<wire::Request>(peer);
    ASSERT_THAT(requests, testing::Not(IsEmpty()));
    EXPECT_EQ(requests[0].block.piece, PieceIndex(1030));
    rig.serve(peer);
    rig.hash();
    EXPECT_THAT(rig.host.ready, testing::ElementsAre(ReadId(1)));
  }
}

TEST(TorrentLayers, OnDemandOnlyThoseOfFilesThatAreRead) {
  TorrentConfig config;
  config.on_demand = true;
  LayerRig rig(make_content(Format::v2, kPiece, {9 * kPiece, 5 * kPiece, 3 * kPiece}), config);
  const PeerId peer = rig.seed_peer(1, true);
  EXPECT_THAT(rig.asked(peer), IsEmpty());
  rig.torrent.set_window(HandleId(1), {PieceIndex(10), PieceIndex(11)}, rig.now);
  auto asked = rig.asked(peer);
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(asked[0].pieces_root, *rig.content.metainfo->files[1].pieces_root);
  rig.torrent.add_read(ReadId(1), HandleId(2), rig.content.layout().spans(FileIndex(2), 0, 1),
                       rig.now);
  asked = rig.asked(peer);
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(asked[0].pieces_root, *rig.content.metainfo->files[2].pieces_root);
}

TEST(TorrentLayers, WhatWasLearntIsServedToOthers) {
  LayerRig rig(three_runs());
  const PeerId seed = rig.seed_peer(1, true);
  const PeerId asker = rig.accept(2, true);
  const auto ask = [&](const wire::HashRef& ref) {
    Bytes out;
    wire::append_hash_ref(out, MessageId::hash_request, ref);
    rig.say(asker, out);
  };
  auto asked = rig.asked(seed);
  const wire::HashRef ref = asked[0];
  ask(ref);
  EXPECT_THAT(rig.host.got<wire::HashReject>(asker), SizeIs(1)) << "not known yet";
  for (; !asked.empty(); asked = rig.asked(seed))
    for (const auto& run : asked) rig.hashes(seed, run, rig.right(run));
  ask(ref);
  const auto answers = rig.host.got<wire::Hashes>(asker);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].hashes, rig.right(ref));
}

TEST(TorrentLayers, PiecesThatCannotBeVerifiedDoNotCountAsHere) {
  const TestContent content =
      test::without_layers(make_content(Format::v2, kPiece, {9 * kPiece, 50}));
  FakeHost host;
  Torrent torrent(std::make_shared<metainfo::PieceRoots>(content.metainfo), {}, host, content.all(),
                  1);
  EXPECT_EQ(torrent.have().count(), 1U) << "the short file is its own root";
  EXPECT_FALSE(torrent.complete());
}

}  // namespace
}  // namespace swarmfs::engine

// engine::Torrent with a manifest whose hashes disagree: nobody is to blame, and everything stops.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint32_t kOdd = 2;  ///< the piece whose hashes disagree

TestContent hybrid() {
  return make_content(Format::hybrid, kPiece, {4 * kPiece - 20'000, 3 * kPiece});
}

/// The v1 or the v2 hash of one piece is of other bytes than the other hash.
TestContent contradictory(bool v1) {
  TestContent content = hybrid();
  auto m = std::make_shared<metainfo::Metainfo>(*content.metainfo);
  if (v1) {
    m->piece_hashes[kOdd][0] ^= 1;
  } else {
    (*m->piece_roots[kOdd])[0] ^= 1;
  }
  content.metainfo = m;
  return content;
}

std::vector<Layout::Span> span_of(const Rig& rig, std::uint32_t piece) {
  return rig.content.layout().spans(FileIndex(0), piece * std::uint64_t{kPiece}, 100);
}

void expect_stopped(Rig& rig, std::initializer_list<PeerId> peers) {
  EXPECT_TRUE(rig.torrent.contradicted());
  EXPECT_EQ(rig.torrent.stats(rig.now).banned, 0U);
  ASSERT_THAT(rig.host.warnings, SizeIs(1));
  EXPECT_THAT(rig.host.warnings[0], HasSubstr("the manifest contradicts itself"));
  for (const PeerId peer : peers) {
    EXPECT_TRUE(rig.closed(peer));
    EXPECT_THAT(rig.host.peers[peer].reason, HasSubstr("contradicts itself"));
  }
  // No dial, no connection, no request from now on; reads fail at once.
  const std::size_t dials = rig.host.dialled.size();
  const Endpoint fresh[] = {address(50), address(51)};
  rig.torrent.add_candidates(fresh, PeerSource::user, rig.now);
  rig.pass(600s);
  EXPECT_EQ(rig.host.dialled.size(), dials);
  EXPECT_FALSE(rig.torrent.add_peer(address(60), rig.handshake(60), 20ms, rig.now));
  EXPECT_FALSE(rig.torrent.add_peer(address(61), std::nullopt, 20ms, rig.now));
  rig.torrent.add_read(ReadId(99), HandleId(1), span_of(rig, kOdd), rig.now);
  ASSERT_TRUE(rig.host.failed.contains(ReadId(99)));
  EXPECT_EQ(rig.host.failed.at(ReadId(99)).kind, ErrorKind::mismatch);
  rig.torrent.set_window(HandleId(1), {PieceIndex(0), PieceIndex(9)}, rig.now);
  EXPECT_EQ(rig.torrent.deadline(), TimePoint::max()) << "nothing to wake for";
}

TEST(TorrentContradiction, APieceThatMatchesOneHashOnlyStopsTheTorrentAndBlamesNobody) {
  for (const bool v1 : {true, false}) {
    SCOPED_TRACE(v1);
    Rig rig(contradictory(v1));
    const PeerId one = rig.seed_peer(1);
    const PeerId two = rig.seed_peer(2);
    const PeerId idle = rig.accept(3);
    rig.torrent.add_read(ReadId(1), HandleId(1), span_of(rig, kOdd), rig.now);
    for (int i = 0; i < 100 && !rig.torrent.contradicted(); ++i) {
      rig.serve(one);
      rig.serve(two);
      rig.hash();
    }
    EXPECT_EQ(rig.host.failed.at(ReadId(1)).kind, ErrorKind::mismatch);
    EXPECT_FALSE(rig.host.kept.contains(PieceIndex(kOdd)));
    expect_stopped(rig, {one, two, idle});
    // What was verified before is as good as ever.
    ASSERT_THAT(rig.host.kept, testing::Not(IsEmpty()));
    const PieceIndex kept = rig.host.kept.begin()->first;
    rig.torrent.add_read(ReadId(2), HandleId(1), {{kept, 0, 1}}, rig.now);
    EXPECT_THAT(rig.host.ready, ElementsAre(ReadId(2)));
  }
}

TEST(TorrentContradiction, ProvenLeavesAndAWrongSha1StopTheTorrent) {
  Rig rig(contradictory(true));
  const PeerId peer = rig.seed_peer(1, true);
  rig.torrent.add_read(ReadId(1), HandleId(1),
                       {{PieceIndex(kOdd), 0, rig.content.layout().piece_size(PieceIndex(kOdd))}},
                       rig.now);
  const auto asked = rig.host.got<wire::HashRequest>(peer);
  ASSERT_THAT(asked, SizeIs(1));
  Bytes out;
  wire::append_hashes(out, asked[0].ref, rig.content.leaves(PieceIndex(kOdd)));
  rig.say(peer, out);
  for (int i = 0; i < 100 && !rig.torrent.contradicted(); ++i) {
    rig.serve(peer);
    rig.hash();
  }
  EXPECT_TRUE(rig.host.kept_blocks.contains({PieceIndex(kOdd), 0})) << "each block had its proof";
  expect_stopped(rig, {peer});
}

TEST(TorrentContradiction, ALayerLongerThanItsFileStopsTheTorrent) {
  namespace merkle = metainfo::merkle;
  const TestContent longer = make_content(Format::v2, kPiece, {7 * kPiece});
  TestContent content = test::without_layers(make_content(Format::v2, kPiece, {6 * kPiece}));
  auto m = std::make_shared<metainfo::Metainfo>(*content.metainfo);
  m->files[0].pieces_root = longer.metainfo->files[0].pieces_root;
  content.metainfo = m;
  Rig rig(content);
  const PeerId peer = rig.seed_peer(1, true);
  rig.torrent.add_read(ReadId(1), HandleId(1), span_of(rig, 0), rig.now);
  const auto asked = rig.host.got<wire::HashRequest>(peer);
  ASSERT_THAT(asked, SizeIs(1));
  merkle::Hashes layer = test::layer_of(longer, FileIndex(0));
  layer.resize(8, merkle::zero_subtree(2));
  Bytes out;
  wire::append_hashes(out, asked[0].ref, layer);
  rig.say(peer, out);
  EXPECT_EQ(rig.host.failed.at(ReadId(1)).kind, ErrorKind::mismatch);
  expect_stopped(rig, {peer});
}

TEST(TorrentContradiction, AFilledPadIsItsSendersFault) {
  Rig rig(hybrid());
  const PeerId liar = rig.seed_peer(1);
  while (rig.serve(liar, [&](const BlockRef& block, Bytes& data) {
    // The last block of the piece is nothing but the pad after the first file.
    if (block.piece == PieceIndex(3) && block.begin == 3 * kBlockSize) data.back() = 1;
  }) > 0)
    rig.hash();
  EXPECT_TRUE(rig.closed(liar));
  EXPECT_EQ(rig.torrent.stats(rig.now).banned, 1U);
  EXPECT_FALSE(rig.torrent.contradicted());
}

}  // namespace
}  // namespace swarmfs::engine

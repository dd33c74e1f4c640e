// Torrent::explain(): what a parked read waits for, one cause at a time, and what is noted of it.
#include "swarm/engine/torrent_explain.h"

#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

struct ExplainRig : Rig {
  using Rig::Rig;

  void park(std::uint64_t offset, std::uint32_t length, unsigned id = 1) {
    torrent.add_read(ReadId(id), HandleId(1), content.layout().spans(FileIndex(0), offset, length),
                     now);
  }
  TorrentView view() const {
    std::vector<ReadId> ids;
    for (unsigned id = 1; id < 200; ++id) ids.emplace_back(id);
    return torrent.explain(ids, now);
  }
  /// Of the only parked read.
  ReadView only() const {
    auto reads = view().reads;
    EXPECT_THAT(reads, SizeIs(1));
    return reads.empty() ? ReadView{} : reads.front();
  }
  /// One block as a peer sends it.
  void block(PeerId peer, PieceIndex piece, std::uint32_t index) {
    Bytes out;
    const BlockPtr data = content.block(piece, index);
    wire::append_piece_header(out, {piece, index * kBlockSize, data->size});
    append(out, data->view());
    say(peer, out);
  }
};

TorrentConfig on_demand() {
  TorrentConfig config;
  config.on_demand = true;
  return config;
}

TEST(TorrentExplain, SaysThatNobodyIsConnected) {
  ExplainRig rig(v1_content());
  rig.park(0, 1000);
  rig.pass(3s);
  const ReadView read = rig.only();
  EXPECT_EQ(read.cause, WaitCause::no_peers);
  EXPECT_EQ(read.waited, 3s);
  EXPECT_EQ(read.times_out, 57s);
  ASSERT_THAT(read.pieces, SizeIs(1));
  const PieceView& piece = read.pieces.front();
  EXPECT_EQ(piece.state, PieceState::absent);
  EXPECT_EQ(piece.needed, 4U) << "a v1 piece is checked whole";
  EXPECT_EQ(piece.free, 4U);
  EXPECT_EQ(piece.holders, 0U);
  EXPECT_EQ(rig.view().peers, 0U);
  EXPECT_EQ(rig.view().known, 0U);
}

TEST(TorrentExplain, CountsAddressesThatAreBeingTried) {
  ExplainRig rig(v1_content());
  const std::vector<Endpoint> known{address(1), address(2)};
  rig.torrent.add_candidates(known, PeerSource::user, rig.now);
  rig.park(0, 1000);
  EXPECT_EQ(rig.view().known, 2U);
  EXPECT_EQ(rig.view().connecting, 2U);
  ASSERT_TRUE(rig.torrent.add_peer(address(1), std::nullopt, 10ms, rig.now));
  EXPECT_EQ(rig.only().cause, WaitCause::no_peers) << "its handshake has not come";
  EXPECT_EQ(rig.view().connecting, 2U);
}

TEST(TorrentExplain, SaysThatNobodyHasThePiece) {
  ExplainRig rig(v1_content());
  const PeerId peer = rig.accept(1);
  rig.plain(peer, MessageId::have_none);
  rig.indexed(peer, MessageId::have, PieceIndex(3));
  rig.plain(peer, MessageId::unchoke);
  rig.park(0, 1000);
  EXPECT_EQ(rig.only().cause, WaitCause::nobody_has);
  EXPECT_EQ(rig.view().peers, 1U);
}

TEST(TorrentExplain, SaysWhoChokesUs) {
  ExplainRig rig(v1_content());
  for (const unsigned n : {1U, 2U}) rig.plain(rig.accept(n), MessageId::have_all);
  rig.park(2 * kPiece + 5, 1000);
  const ReadView read = rig.only();
  EXPECT_EQ(read.cause, WaitCause::choked);
  const PieceView& piece = read.pieces.front();
  EXPECT_EQ(piece.piece, PieceIndex(2));
  EXPECT_EQ(piece.span.begin, 5U);
  EXPECT_EQ(piece.holders, 2U);
  EXPECT_EQ(piece.choking, 2U);
  ASSERT_THAT(piece.peers, SizeIs(2));
  EXPECT_EQ(piece.peers[0].endpoint, address(1));
  EXPECT_TRUE(piece.peers[0].choking);
}

TEST(TorrentExplain, SaysWhoWasAskedAndWhenItShouldCome) {
  ExplainRig rig(v1_content(), false, on_demand());
  const PeerId peer = rig.seed_peer(1);
  Bytes hello;
  wire::ExtensionHandshake theirs;
  theirs.version = "Client 1.0";
  wire::append_extended(hello, 0, wire::encode(theirs));
  rig.say(peer, hello);
  rig.park(kBlockSize, 1000);
  rig.now += 5ms;
  const ReadView read = rig.only();
  EXPECT_EQ(read.cause, WaitCause::asked);
  EXPECT_EQ(read.peer, address(1));
  const PieceView& piece = read.pieces.front();
  EXPECT_EQ(piece.state, PieceState::in_flight);
  EXPECT_EQ(piece.requested, 4U);
  EXPECT_EQ(piece.hedged, 0U);
  ASSERT_THAT(piece.blocks, SizeIs(4));
  EXPECT_EQ(piece.blocks[0].begin, kBlockSize) << "the read's own block comes first";
  ASSERT_THAT(piece.blocks[0].copies, SizeIs(1));
  const CopyView& copy = piece.blocks[0].copies.front();
  EXPECT_EQ(copy.peer.client, "Client 1.0");
  EXPECT_EQ(copy.peer.rtt, 20ms);
  EXPECT_EQ(copy.asked, 5ms);
  EXPECT_EQ(copy.queued, 0U);
  EXPECT_GT(copy.expected, 20ms);
  EXPECT_EQ(piece.blocks[3].copies.front().queued, 3 * std::uint64_t{kBlockSize});
}

TEST(TorrentExplain, OneThatSendsOtherBlocksIsLateWithThisOneAllTheSame) {
  ExplainRig rig(v1_content(), false, on_demand());
  const PeerId peer = rig.seed_peer(1);
  rig.park(0, 1000);
  rig.pass(2s);
  rig.block(peer, PieceIndex(0), 3);
  rig.now += 1ms;
  const ReadView read = rig.only();
  EXPECT_EQ(read.cause, WaitCause::overdue);
  ASSERT_THAT(read.pieces.front().blocks.front().copies, SizeIs(1));
  const CopyView& copy = read.pieces.front().blocks.front().copies.front();
  EXPECT_TRUE(copy.late);
  EXPECT_LT(copy.silent, 10ms);
}

TEST(TorrentExplain, SaysWhoIsLateAndWhoStalls) {
  ExplainRig rig(v1_content(), false, on_demand());
  rig.seed_peer(1);
  rig.park(0, 1000);
  rig.pass(2s);
  EXPECT_EQ(rig.only().cause, WaitCause::overdue);
  EXPECT_EQ(rig.only().peer, address(1));
  rig.pass(limits::kBlockTimeout + 1s);
  const ReadView read = rig.only();
  EXPECT_EQ(read.cause, WaitCause::overdue);
  ASSERT_FALSE(read.pieces.front().blocks.empty());
  ASSERT_THAT(read.pieces.front().blocks.front().copies, SizeIs(1));
  const CopyView& copy = read.pieces.front().blocks.front().copies.front();
  EXPECT_TRUE(copy.peer.snubbed);
  EXPECT_EQ(copy.silent, limits::kBlockTimeout + 3s) << "being asked again makes nobody fresh";
}

TEST(TorrentExplain, ShowsSecondCopies) {
  ExplainRig rig(v1_content(), false, on_demand());
  rig.seed_peer(1);
  rig.park(0, 1000);
  rig.pass(1s);
  rig.seed_peer(2);
  rig.pass(2s);
  const PieceView piece = rig.only().pieces.front();
  EXPECT_GT(piece.hedged, 0U);
  const auto hedged = std::find_if(piece.blocks.begin(), piece.blocks.end(),
                                   [](const BlockView& b) { return b.copies.size() == 2; });
  ASSERT_NE(hedged, piece.blocks.end());
  EXPECT_EQ(hedged->copies[0].peer.endpoint, address(1));
  EXPECT_EQ(hedged->copies[1].peer.endpoint, address(2));
}

TEST(TorrentExplain, SaysThatWhatCameIsBeingChecked) {
  ExplainRig rig(v1_content(), false, on_demand());
  const PeerId peer = rig.seed_peer(1);
  rig.park(0, 1000);
  rig.serve(peer);
  const ReadView read = rig.only();
  EXPECT_EQ(read.cause, WaitCause::verifying);
  EXPECT_EQ(read.pieces.front().state, PieceState::verifying);
  EXPECT_EQ(read.pieces.front().here, 4U);
  EXPECT_THAT(read.pieces.front().blocks, IsEmpty());
  rig.hash();
  EXPECT_THAT(rig.view().reads, IsEmpty());
}

TEST(TorrentExplain, SaysThatOnlyItsBlockIsNeededOnceLeavesAreKnown) {
  ExplainRig rig(make_content(Format::v2, kPiece, {8 * kPiece}), false, on_demand());
  const PeerId peer = rig.seed_peer(1, true);
  rig.park(kBlockSize, 1000);
  PieceView piece = rig.only().pieces.front();
  EXPECT_FALSE(piece.leaves_known);
  EXPECT_EQ(piece.hashes_asked_of, address(1));
  EXPECT_EQ(piece.needed, 1U) << "its leaf is on the way";
  const auto asked = rig.host.got<wire::HashRequest>(peer);
  ASSERT_THAT(asked, SizeIs(1));
  rig.tell_leaves(peer, PieceIndex(0), asked[0].ref);
  piece = rig.only().pieces.front();
  EXPECT_TRUE(piece.leaves_known);
  EXPECT_EQ(piece.needed, 1U);
  ASSERT_THAT(piece.blocks, SizeIs(1));
  EXPECT_TRUE(piece.blocks.front().leaf_known);
  EXPECT_EQ(piece.hashes_asked_of, std::nullopt);
}

TEST(TorrentExplain, SaysThatTheHashesOfItsPiecesAreMissing) {
  ExplainRig rig(test::without_layers(make_content(Format::v2, kPiece, {8 * kPiece})));
  rig.park(3 * kPiece, 1000);
  EXPECT_EQ(rig.only().cause, WaitCause::layers);
  EXPECT_EQ(rig.only().pieces.front().hashes_asked_of, std::nullopt);
  rig.seed_peer(1, true);
  EXPECT_EQ(rig.only().cause, WaitCause::layers);
  EXPECT_EQ(rig.only().pieces.front().hashes_asked_of, address(1)) << "a run serves many pieces";
}

TEST(TorrentExplain, SaysThatTheHashesOfWhatCameAreMissing) {
  // More leaves than one request may ask for: those of another part of the piece are known.
  constexpr std::uint32_t kLarge = 1024 * kBlockSize;
  ExplainRig rig(make_content(Format::v2, kLarge, {2 * kLarge}), false, on_demand());
  const PeerId peer = rig.seed_peer(1, true);
  rig.park(0, 1000, 1);
  const auto asked = rig.host.got<wire::HashRequest>(peer);
  ASSERT_THAT(asked, SizeIs(1));
  const metainfo::merkle::HashTree tree(rig.content.leaves(PieceIndex(0)), 0, 10);
  const wire::HashRef& ref = asked[0].ref;
  Bytes out;
  wire::append_hashes(out, ref,
                      *metainfo::merkle::answer(
                          {0, ref.index, ref.length, ref.proof_layers},
                          [&](unsigned level, std::uint64_t i) { return tree.node(level, i); }));
  rig.say(peer, out);
  rig.block(peer, PieceIndex(0), 0);
  ASSERT_THAT(rig.host.ready, SizeIs(1));
  rig.park(600 * kBlockSize, 1000, 2);
  rig.block(peer, PieceIndex(0), 600);
  const ReadView read = rig.only();
  EXPECT_EQ(read.cause, WaitCause::leaf_hashes);
  EXPECT_EQ(read.pieces.front().hashes_asked_of, address(1));
  EXPECT_EQ(read.pieces.front().here, 1U);
}

TEST(TorrentExplain, SaysThatWhoHasItIsBusy) {
  ExplainRig rig(v1_content(), false, on_demand());
  rig.seed_peer(1);
  // Twelve blocks are all that is asked of a peer at first.
  for (unsigned n = 0; n < 4; ++n) rig.park(n * kPiece, 1000, n + 1);
  const auto reads = rig.view().reads;
  ASSERT_THAT(reads, SizeIs(4));
  for (unsigned n = 0; n < 3; ++n) EXPECT_EQ(reads[n].cause, WaitCause::asked);
  EXPECT_EQ(reads[3].cause, WaitCause::busy);
  EXPECT_EQ(reads[3].pieces.front().free, 4U);
}

TEST(TorrentExplain, SaysThatAFailedPieceMustComeFromOnePeerAlone) {
  ExplainRig rig(make_content(Format::v1, 4 * kPiece, {8 * kPiece}), false, on_demand());
  const PeerId first = rig.seed_peer(1), second = rig.seed_peer(2);
  rig.park(0, 1000);
  // Both send a part of the piece, and one of them lies.
  Bytes lie;
  wire::append_piece_header(lie, {PieceIndex(0), 0, kBlockSize});
  lie.resize(lie.size() + kBlockSize);
  rig.say(first, lie);
  for (std::uint32_t b = 1; b < 15; ++b) rig.block(first, PieceIndex(0), b);
  rig.block(second, PieceIndex(0), 15);
  ASSERT_THAT(rig.host.hashing, SizeIs(1));
  rig.hash();
  const ReadView read = rig.only();
  EXPECT_EQ(read.cause, WaitCause::probation);
  std::set<Endpoint> asked;
  for (const BlockView& block : read.pieces.front().blocks)
    for (const CopyView& copy : block.copies) asked.insert(copy.peer.endpoint);
  EXPECT_THAT(asked, SizeIs(1));
}

TEST(TorrentExplain, IsBoundedAndLeavesOutWhatIsNotParked) {
  ExplainRig rig(make_content(Format::v1, kBlockSize, {300 * std::uint64_t{kBlockSize}}));
  for (unsigned id = 1; id <= 100; ++id) rig.park(0, 100 * kBlockSize, id);
  for (unsigned n = 1; n <= 50; ++n) rig.plain(rig.accept(n), MessageId::have_all);
  const TorrentView view = rig.view();
  ASSERT_EQ(view.reads.size(), kMaxExplainedReads);
  for (const ReadView& read : view.reads) {
    EXPECT_LE(read.pieces.size(), kMaxExplainedPieces);
    for (const PieceView& piece : read.pieces) {
      EXPECT_LE(piece.blocks.size(), kMaxExplainedBlocks);
      EXPECT_LE(piece.peers.size(), kMaxExplainedPeers);
      EXPECT_EQ(piece.holders, 50U);
    }
  }
}

// --- what is noted while a read waits

TEST(TorrentExplain, NotesTheFirstBlockAndWhoSentIt) {
  ExplainRig rig(v1_content(), false, on_demand());
  const PeerId peer = rig.seed_peer(1);
  rig.park(0, 1000);
  rig.now += 51ms;
  rig.serve(peer);
  rig.hash();
  ASSERT_TRUE(rig.host.ended.contains(ReadId(1)));
  const WaitTrace& trace = rig.host.ended[ReadId(1)];
  ASSERT_TRUE(trace.first());
  EXPECT_EQ(trace.first()->from, address(1));
  EXPECT_EQ(trace.first()->after, 52ms);
  EXPECT_EQ(trace.longest(rig.now).cause, WaitCause::asked);
  EXPECT_EQ(trace.asked_of(), address(1));
}

TEST(TorrentExplain, NotesWhatTookLongest) {
  ExplainRig rig(v1_content(), false, on_demand());
  rig.park(0, 1000);
  rig.pass(1s);
  const PeerId peer = rig.accept(1);
  rig.plain(peer, MessageId::have_all);
  rig.pass(3s);
  rig.plain(peer, MessageId::unchoke);
  rig.serve(peer);
  rig.now += 200ms;
  rig.hash();
  const WaitTrace& trace = rig.host.ended[ReadId(1)];
  EXPECT_EQ(trace.longest(rig.now).cause, WaitCause::choked);
  EXPECT_EQ(trace.longest(rig.now).took, 3s);
  EXPECT_EQ(trace.first()->after, 4s + 1ms);
}

TEST(TorrentExplain, NotesWhyAReadTimedOutOrWasCancelled) {
  ExplainRig rig(v1_content(), false, on_demand());
  rig.plain(rig.accept(1), MessageId::have_none);
  rig.park(0, 1000, 1);
  rig.park(kPiece, 1000, 2);
  rig.pass(5s);
  rig.torrent.cancel_read(ReadId(2), rig.now);
  EXPECT_EQ(rig.host.ended[ReadId(2)].longest(rig.now).cause, WaitCause::nobody_has);
  rig.pass(60s);
  ASSERT_TRUE(rig.host.failed.contains(ReadId(1)));
  EXPECT_EQ(rig.host.ended[ReadId(1)].longest(rig.now).cause, WaitCause::nobody_has);
  EXPECT_FALSE(rig.host.ended[ReadId(1)].first());
}

}  // namespace
}  // namespace swarmfs::engine

// engine::Torrent against scripted peers: what it says, what it refuses, whom it puts out.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

TEST(Torrent, GreetsInOneFlight) {
  Rig rig(v1_content());
  const auto dialled = rig.torrent.add_peer(address(1), std::nullopt, 10ms, rig.now);
  ASSERT_TRUE(dialled);
  auto& inbox = rig.host.peers[*dialled];
  ASSERT_TRUE(inbox.handshake);
  EXPECT_EQ(inbox.handshake->info_hash, *rig.content.metainfo->hashes.v1);
  EXPECT_TRUE(inbox.handshake->fast && inbox.handshake->extended && !inbox.handshake->v2);
  EXPECT_THAT(rig.host.got<wire::Bitfield>(*dialled), SizeIs(1));
  EXPECT_THAT(rig.host.got<wire::Interested>(*dialled), SizeIs(1));

  const PeerId accepted = rig.accept(2);
  EXPECT_THAT(rig.host.got<wire::HaveNone>(accepted), SizeIs(1));
  EXPECT_THAT(rig.host.got<wire::Extended>(accepted), SizeIs(1));
  Rig seed(v1_content(), true);
  const PeerId taker = seed.accept(1);
  EXPECT_THAT(seed.host.got<wire::HaveAll>(taker), SizeIs(1));
  EXPECT_THAT(seed.host.got<wire::Interested>(taker), IsEmpty());
}

TEST(Torrent, FetchesEverythingVerifiesItAndAnswersReads) {
  for (const Format format : {Format::v1, Format::v2, Format::hybrid}) {
    Rig rig(make_content(format, kPiece, {5 * kPiece + 7, 100, 3 * kPiece}));
    const PeerId peer = rig.seed_peer(1, true);
    rig.torrent.add_read(ReadId(1), HandleId(1), rig.content.layout().spans(FileIndex(0), 0, 1000),
                         rig.now);
    while (rig.serve(peer) > 0) rig.hash();
    EXPECT_TRUE(rig.torrent.complete());
    EXPECT_THAT(rig.host.ready, testing::ElementsAre(ReadId(1)));
    ASSERT_EQ(rig.host.kept.size(), rig.content.pieces.size());
    for (const auto& [piece, blocks] : rig.host.kept) {
      Bytes bytes;
      for (const auto& block : blocks) append(bytes, block->view());
      EXPECT_EQ(bytes, rig.content.pieces[piece.value]);
    }
    EXPECT_TRUE(rig.closed(peer)) << "two seeds have nothing for each other";
    EXPECT_EQ(rig.torrent.stats(rig.now).wasted, 0U);
  }
}

TEST(Torrent, RefusesBadHandshakes) {
  Rig rig(v1_content());
  unsigned n = 1;
  const auto dial_and_answer = [&](const Bytes& answer) {
    const auto id = rig.torrent.add_peer(address(n++), std::nullopt, 10ms, rig.now);
    rig.say(*id, answer);
    return *id;
  };
  Bytes garbage(68, 'x');
  EXPECT_TRUE(rig.closed(dial_and_answer(garbage)));
  Bytes other, own, good;
  auto h = rig.handshake(9);
  h.info_hash.fill(0xee);
  wire::append_handshake(other, h);
  EXPECT_TRUE(rig.closed(dial_and_answer(other)));
  h = rig.handshake(9);
  h.peer_id = {};
  wire::append_handshake(own, h);
  EXPECT_TRUE(rig.closed(dial_and_answer(own))) << "ourselves";
  wire::append_handshake(good, rig.handshake(9));
  EXPECT_FALSE(rig.closed(dial_and_answer(good)));
  EXPECT_FALSE(rig.torrent.add_peer(
      address(77),
      [&] {
        auto mine = rig.handshake(9);
        mine.peer_id = {};
        return mine;
      }(),
      1ms, rig.now));
}

TEST(Torrent, DropsWhoBreaksTheProtocol) {
  const PieceIndex beyond(8);
  const PieceIndex most(0xffffffff);
  std::vector<std::pair<const char*, Bytes>> cases;
  const auto add = [&](const char* name, auto&& write) {
    Bytes out;
    write(out);
    cases.emplace_back(name, out);
  };
  for (const PieceIndex piece : {beyond, most}) {
    for (const MessageId id : {MessageId::have, MessageId::suggest, MessageId::allowed_fast})
      add("index", [&](Bytes& out) { wire::append_indexed(out, id, piece); });
    add("request", [&](Bytes& out) {
      wire::append_block_ref(out, MessageId::request, {piece, 0, kBlockSize});
    });
    add("piece", [&](Bytes& out) {
      wire::append_piece_header(out, {piece, 0, 1});
      out.push_back(1);
    });
  }
  for (const BlockRef block :
       {BlockRef{PieceIndex(0), 0, 0}, BlockRef{PieceIndex(0), kPiece, 1},
        BlockRef{PieceIndex(0), 0xffffffff, 2}, BlockRef{PieceIndex(0), 2, 0xffffffff},
        BlockRef{PieceIndex(0), 0, kPiece + 1}})
    add("range", [&](Bytes& out) { wire::append_block_ref(out, MessageId::request, block); });
  add("bitfield size", [](Bytes& out) { wire::append_bitfield(out, Bytes{1, 2}); });
  add("have all after have none", [](Bytes& out) {
    wire::append_plain(out, MessageId::have_none);
    wire::append_plain(out, MessageId::have_all);
  });
  add("odd block", [](Bytes& out) {
    wire::append_piece_header(out, {PieceIndex(0), 1, 1});
    out.push_back(1);
  });
  add("4 GiB", [](Bytes& out) { append_be<std::uint32_t>(out, 0xffffffff); });
  add("choke with payload", [](Bytes& out) { out = {0, 0, 0, 2, 0, 0}; });
  add("v2 hashes of a v1 torrent",
      [](Bytes& out) { wire::append_hash_ref(out, MessageId::hash_request, {}); });
  add("extension handshake", [](Bytes& out) { wire::append_extended(out, 0, Bytes(50, 'l')); });
  for (const bool seed : {false, true}) {
    Rig rig(v1_content(), seed);
    unsigned n = 1;
    for (const auto& [name, bytes] : cases) {
      const PeerId peer = rig.accept(n++);
      rig.say(peer, bytes);
      EXPECT_TRUE(rig.closed(peer)) << name;
    }
    EXPECT_EQ(rig.torrent.stats(rig.now).peers, 0U);
  }
}

TEST(Torrent, IndicesOfRepliesThatNobodyAwaitsChangeNothing) {
  Rig rig(make_content(Format::hybrid, kPiece, {8 * kPiece}));
  const PeerId peer = rig.accept(1, true);
  Bytes out;
  const BlockRef block{PieceIndex(0xffffffff), 0xffffffff, 0xffffffff};
  wire::append_block_ref(out, MessageId::reject, block);
  wire::append_block_ref(out, MessageId::cancel, block);
  wire::HashRef ref;
  ref.base_layer = ref.index = ref.length = ref.proof_layers = 0xffffffff;
  wire::append_hash_ref(out, MessageId::hash_reject, ref);
  wire::append_hashes(out, ref, {});
  wire::append_hash_ref(out, MessageId::hash_request, ref);
  ref.pieces_root = *rig.content.metainfo->files[0].pieces_root;
  wire::append_hash_ref(out, MessageId::hash_request, ref);
  rig.say(peer, out);
  EXPECT_FALSE(rig.closed(peer));
  EXPECT_THAT(rig.host.got<wire::HashReject>(peer), SizeIs(2));
}

TEST(Torrent, ServesOnlyTheUnchokedAndRejectsTheRest) {
  Rig rig(v1_content(), true);
  const PeerId peer = rig.accept(1);
  rig.plain(peer, MessageId::have_none);
  const BlockRef block{PieceIndex(1), kBlockSize, kBlockSize};
  rig.block_ref(peer, MessageId::request, block);
  ASSERT_THAT(rig.host.got<wire::Reject>(peer), SizeIs(1));
  EXPECT_EQ(rig.host.got<wire::Reject>(peer)[0].block, block);
  EXPECT_THAT(rig.host.peers[peer].blocks, IsEmpty());
  rig.plain(peer, MessageId::interested);
  EXPECT_THAT(rig.host.got<wire::Unchoke>(peer), SizeIs(1)) << "a free slot is given at once";
  rig.block_ref(peer, MessageId::request, block);
  EXPECT_THAT(rig.host.peers[peer].blocks, testing::ElementsAre(block));
  rig.block_ref(peer, MessageId::request, {PieceIndex(0), 0, limits::kMaxServedBlock + 1});
  EXPECT_TRUE(rig.closed(peer));
}

TEST(Torrent, AChokeStaysBehindBlocks) {
  Rig rig(v1_content(), true);
  std::vector<PeerId> peers;
  for (unsigned i = 1; i <= 20; ++i) {
    peers.push_back(rig.accept(i));
    rig.plain(peers.back(), MessageId::have_none);
    rig.plain(peers.back(), MessageId::interested);
  }
  rig.pass(60s);
  std::size_t chokes = 0;
  for (const PeerId peer : peers) {
    const std::size_t its = rig.host.got<wire::Choke>(peer).size();
    EXPECT_EQ(rig.host.peers[peer].behind_blocks, its);
    chokes += its;
  }
  EXPECT_GT(chokes, 0U) << "slots are passed on";
}

TEST(Torrent, APeerThatDoesNotReadGetsABoundedNumberOfBlocks) {
  for (const std::uint32_t length : {1U, kBlockSize}) {
    Rig rig(v1_content(), true);
    const PeerId peer = rig.accept(1);
    rig.plain(peer, MessageId::have_none);
    rig.plain(peer, MessageId::interested);
    Bytes out;
    for (std::uint32_t i = 0; i < 5000; ++i)
      wire::append_block_ref(out, MessageId::request, {PieceIndex(i % 8), i % kBlockSize, length});
    for (int i = 0; i < 4; ++i) rig.say(peer, out);
    EXPECT_FALSE(rig.closed(peer));
    EXPECT_LE(rig.host.peers[peer].blocks.size(), 64U);
    // What is neither queued nor sent was rejected.
    const auto rejected = rig.host.got<wire::Reject>(peer).size();
    EXPECT_EQ(rejected + rig.host.peers[peer].blocks.size() + limits::kMaxQueuedRequests, 20'000U);
  }
}

TEST(Torrent, ACancelledRequestIsNotServed) {
  Rig rig(v1_content(), true);
  const PeerId peer = rig.accept(1);
  rig.plain(peer, MessageId::have_none);
  rig.plain(peer, MessageId::interested);
  for (std::uint32_t i = 0; i < 32; ++i)
    rig.block_ref(peer, MessageId::request,
                  {PieceIndex(i / 4), i % 4 * kBlockSize, i == 31 ? kBlockSize - 100 : kBlockSize});
  const auto sent = rig.host.peers[peer].blocks;
  ASSERT_THAT(sent, SizeIs(16)) << "the rest waits for these to leave";
  const BlockRef waiting{PieceIndex(7), 0, kBlockSize};
  rig.block_ref(peer, MessageId::cancel, waiting);
  EXPECT_THAT(rig.host.got<wire::Reject>(peer), SizeIs(1));
  for (std::size_t i = 0; i < rig.host.peers[peer].blocks.size(); ++i)
    rig.torrent.on_block_sent(peer, BlockRef(rig.host.peers[peer].blocks[i]), true, rig.now);
  EXPECT_THAT(rig.host.peers[peer].blocks, SizeIs(31));
  EXPECT_THAT(rig.host.peers[peer].blocks, testing::Not(testing::Contains(waiting)));
}

TEST(Torrent, ALaterBitfieldCountsAsHaves) {
  Rig rig(v1_content());
  const PeerId peer = rig.accept(1);
  Bytes out;
  wire::append_bitfield(out, Bytes{0x0f});
  wire::append_indexed(out, MessageId::have, PieceIndex(0));
  wire::append_bitfield(out, Bytes{0xf0});
  rig.say(peer, out);
  EXPECT_FALSE(rig.closed(peer));
  EXPECT_EQ(rig.torrent.stats(rig.now).seeds, 1U) << "what the first one said still holds";
}

TEST(Torrent, AFloodOfHavesIsCountedOnce) {
  Rig rig(v1_content());
  const PeerId peer = rig.accept(1);
  Bytes out;
  for (int i = 0; i < 100'000; ++i)
    wire::append_indexed(out, MessageId::have, PieceIndex(static_cast<std::uint32_t>(i % 8)));
  rig.say(peer, out);
  EXPECT_FALSE(rig.closed(peer));
  EXPECT_EQ(rig.torrent.stats(rig.now).seeds, 1U);
}

TEST(Torrent, WhoCannotMakeUpItsMindWaitsForARound) {
  Rig rig(v1_content(), true);
  const PeerId peer = rig.accept(1);
  rig.plain(peer, MessageId::have_none);
  Bytes out;
  for (int i = 0; i < 20'000; ++i) {
    wire::append_plain(out, MessageId::interested);
    wire::append_plain(out, MessageId::not_interested);
  }
  rig.say(peer, out);
  EXPECT_LE(rig.host.got<wire::Unchoke>(peer).size(), limits::kPatience);
  rig.plain(peer, MessageId::interested);
  const auto before = rig.host.got<wire::Unchoke>(peer).size();
  rig.pass(12s);
  EXPECT_EQ(rig.host.got<wire::Unchoke>(peer).size(), before + 1);
}

TEST(Torrent, WhoKeepsChokingAndUnchokingIsDropped) {
  Rig rig(v1_content());
  const PeerId peer = rig.accept(1);
  rig.plain(peer, MessageId::have_all);
  for (int i = 0; i < 3000 && !rig.closed(peer); ++i) {
    rig.plain(peer, MessageId::unchoke);
    if (!rig.closed(peer)) rig.plain(peer, MessageId::choke);
  }
  EXPECT_TRUE(rig.closed(peer));
}

TEST(Torrent, ASingleSenderOfABadPieceIsOut) {
  Rig rig(v1_content());
  const PeerId liar = rig.seed_peer(1);
  rig.serve(liar, [](const BlockRef& block, Bytes& data) {
    if (block.begin == 0) data[0] ^= 1;
  });
  rig.hash();
  EXPECT_TRUE(rig.closed(liar));
  EXPECT_FALSE(rig.torrent.add_peer(address(1), rig.handshake(3), 1ms, rig.now)) << "banned";
  const PeerId honest = rig.seed_peer(2);
  while (rig.serve(honest) > 0) rig.hash();
  EXPECT_TRUE(rig.torrent.complete());
  EXPECT_FALSE(rig.torrent.stats(rig.now).banned > 1);
}

TEST(Torrent, ALiarThatLeavesBeforeTheHashIsBannedAllTheSame) {
  Rig rig(v1_content(1));
  const PeerId liar = rig.seed_peer(1);
  while (rig.serve(liar, [](const BlockRef&, Bytes& data) { data[0] ^= 1; }) > 0) {
  }
  rig.torrent.on_closed(liar, rig.now);
  rig.hash();
  EXPECT_FALSE(rig.torrent.add_peer(address(1), rig.handshake(3), 1ms, rig.now));
}

TEST(Torrent, AmongSeveralSendersTheLiarIsFoundAndNoOneElse) {
  Rig rig(v1_content(1));
  const PeerId first = rig.accept(1);
  const PeerId second = rig.accept(2);
  for (const PeerId peer : {first, second}) {
    rig.plain(peer, MessageId::have_all);
    rig.plain(peer, MessageId::unchoke);
  }
  // The first delivers two blocks and goes quiet; the second brings the others, one of them bad.
  const auto asked = rig.host.got<wire::Request>(first);
  ASSERT_THAT(asked, SizeIs(4));
  for (int i = 0; i < 2; ++i) {
    Bytes out;
    wire::append_piece_header(out, asked[i].block);
    append(out, rig.content.block(PieceIndex(0), asked[i].block.begin / kBlockSize)->view());
    rig.say(first, out);
  }
  rig.plain(first, MessageId::choke);
  rig.serve(second, [](const BlockRef&, Bytes& data) { data[5] ^= 1; });
  ASSERT_THAT(rig.host.hashing, SizeIs(1));
  rig.hash();
  EXPECT_FALSE(rig.closed(first));
  EXPECT_FALSE(rig.closed(second)) << "nobody is blamed yet";
  rig.plain(first, MessageId::unchoke);
  rig.served[first] = 4;
  for (int i = 0; i < 10 && !rig.torrent.complete(); ++i) {
    rig.serve(first);
    rig.serve(second);
    rig.hash();
  }
  EXPECT_TRUE(rig.torrent.complete());
  EXPECT_EQ(rig.torrent.stats(rig.now).banned, 1U);
  EXPECT_TRUE(rig.torrent.add_peer(address(1), rig.handshake(11), 1ms, rig.now)) << "honest";
  EXPECT_FALSE(rig.torrent.add_peer(address(2), rig.handshake(12), 1ms, rig.now)) << "the liar";
}

TEST(Torrent, BlocksNobodyAskedForEndTheConnectionAtLast) {
  Rig rig(v1_content());
  const PeerId peer = rig.accept(1);
  rig.plain(peer, MessageId::have_all);  // and choking: nothing is asked
  Bytes out;
  wire::append_piece_header(out, {PieceIndex(0), 0, kBlockSize});
  append(out, rig.content.block(PieceIndex(0), 0)->view());
  for (unsigned i = 0; i <= limits::kMaxUnasked && !rig.closed(peer); ++i) rig.say(peer, out);
  EXPECT_TRUE(rig.closed(peer));
  EXPECT_THAT(rig.host.hashing, IsEmpty());
}

TEST(Torrent, SilenceIsTimedOutAndActivityKeptAlive) {
  Rig rig(v1_content());
  const auto half = rig.torrent.add_peer(address(1), std::nullopt, 10ms, rig.now);
  const PeerId quiet = rig.accept(2);
  const PeerId lively = rig.accept(3);
  rig.pass(9s);
  EXPECT_FALSE(rig.closed(*half));
  rig.pass(2s);
  EXPECT_TRUE(rig.closed(*half)) << "no handshake within ten seconds";
  for (int i = 0; i < 20; ++i) {
    rig.pass(10s);
    if (!rig.closed(lively)) rig.say(lively, Bytes(4));
  }
  EXPECT_TRUE(rig.closed(quiet));
  EXPECT_FALSE(rig.closed(lively));
  const auto alive = rig.host.got<wire::KeepAlive>(lively).size();
  EXPECT_GE(alive, 1U);
  EXPECT_LE(alive, 3U);
}

TEST(Torrent, AfterALossSeedsAreWantedAgain) {
  Rig rig(v1_content(), true);
  const std::vector<Endpoint> known{address(5)};
  rig.torrent.add_candidates(known, PeerSource::tracker, rig.now);
  ASSERT_THAT(rig.host.dialled, SizeIs(1));
  const auto peer = rig.torrent.add_peer(address(5), std::nullopt, 1ms, rig.now);
  Bytes out;
  wire::append_handshake(out, rig.handshake(5));
  wire::append_plain(out, MessageId::have_all);
  rig.say(*peer, out);
  ASSERT_TRUE(rig.closed(*peer)) << "both complete";
  rig.pass(30s);
  EXPECT_THAT(rig.host.dialled, SizeIs(1));
  rig.torrent.on_piece_lost(PieceIndex(3), rig.now);
  EXPECT_FALSE(rig.torrent.complete());
  rig.pass(3s);
  EXPECT_THAT(rig.host.dialled, SizeIs(2)) << "to fetch the piece again";
}

TEST(Torrent, AFailedDiskIsTriedAgainLater) {
  Rig rig(v1_content(32));
  TorrentConfig config;
  const PeerId peer = rig.seed_peer(1);
  rig.serve(peer);
  rig.hash();
  ASSERT_FALSE(rig.host.kept.empty());
  rig.torrent.on_piece_stored(rig.host.kept.begin()->first, fail(ErrorKind::io, "broken"), rig.now);
  while (rig.serve(peer) > 0) rig.hash();
  EXPECT_FALSE(rig.torrent.complete());
  const auto kept = rig.host.kept.size();
  rig.torrent.set_room_for_backfill(true, rig.now + 5s);
  EXPECT_EQ(rig.serve(peer), 0U);
  rig.now += limits::kDiskRest;
  rig.torrent.set_room_for_backfill(true, rig.now);
  while (rig.serve(peer) > 0) rig.hash();
  EXPECT_GT(rig.host.kept.size(), kept);
}

TEST(Torrent, ConnectionsAreLimited) {
  TorrentConfig config;
  config.peer_book.max_connections = 5;
  Rig rig(v1_content(), true, config);
  for (unsigned n = 1; n <= 5; ++n) rig.accept(n);
  EXPECT_FALSE(rig.torrent.add_peer(address(6), rig.handshake(6), 1ms, rig.now));
}

TEST(Torrent, ASeedDoesNotLetARequestWaitForAllOthers) {
  constexpr std::uint32_t kPieces = 100;
  Rig rig(make_content(Format::v1, kPiece, {std::uint64_t{kPieces} * kPiece}), true);
  const auto join = [&](unsigned n) {
    const PeerId peer = rig.accept(n);
    rig.plain(peer, MessageId::have_none);
    rig.plain(peer, MessageId::interested);
    return peer;
  };
  const auto ask = [&](PeerId peer, std::uint32_t piece) {
    for (std::uint32_t b = 0; b < 4; ++b)
      rig.block_ref(peer, MessageId::request, {PieceIndex(piece), b * kBlockSize, kBlockSize});
  };
  const auto serve_all = [&](PeerId peer) {
    for (std::size_t i = 0; i < rig.host.peers[peer].blocks.size(); ++i)
      rig.torrent.on_block_sent(peer, BlockRef(rig.host.peers[peer].blocks[i]), true, rig.now);
    return rig.host.peers[peer].blocks;
  };
  // Piece 0 has been sent before, so it is the last that is sent again.
  const PeerId first = join(1);
  ask(first, 0);
  ASSERT_THAT(serve_all(first), SizeIs(4));
  const PeerId second = join(2);
  for (std::uint32_t piece = 1; piece <= 4; ++piece)
    ask(second, piece);  // fills what is sent ahead
  ask(second, 0);
  for (std::uint32_t piece = 5; piece < kPieces; ++piece) ask(second, piece);
  const auto sent = serve_all(second);
  ASSERT_THAT(sent, SizeIs(4 * kPieces));
  const auto place = [&](std::uint32_t block) {
    return std::find(sent.begin(), sent.end(),
                     BlockRef{PieceIndex(0), block * kBlockSize, kBlockSize}) -
           sent.begin();
  };
  EXPECT_GT(place(0), 200) << "what others have had comes later";
  EXPECT_LE(place(0), 16 + limits::kMostOvertaken) << "but it does come";
  EXPECT_EQ(place(3), place(0) + 3) << "and then all of it";
}

}  // namespace
}  // namespace swarmfs::engine

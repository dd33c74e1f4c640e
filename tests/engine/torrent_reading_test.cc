// engine::Torrent: who reads says so to those it asks, and a cold peer that owes hashes is not
// asked for what can wait.
#include "tests/engine/torrent_rig.h"

namespace swarmfs::engine {
namespace {

constexpr std::uint8_t kTheirId = 77;

/// A peer of ours: it takes sf_reading.
PeerId introduce(Rig& rig, PeerId peer) {
  wire::ExtensionHandshake theirs;
  theirs.ids.sf_reading = kTheirId;
  Bytes out;
  wire::append_extended(out, wire::kExtensionHandshakeId, wire::encode(theirs));
  rig.say(peer, out);
  return peer;
}

/// The pieces that a peer has been told of, each with how many requests went before it.
std::vector<std::pair<PieceIndex, std::size_t>> told(Rig& rig, PeerId peer) {
  std::vector<std::pair<PieceIndex, std::size_t>> pieces;
  std::size_t requests = 0;
  for (const Bytes& body : rig.host.peers[peer].bodies) {
    const auto message = wire::parse_message(body);
    if (!message) continue;
    requests += std::holds_alternative<wire::Request>(*message);
    const auto* extended = std::get_if<wire::Extended>(&*message);
    if (extended == nullptr || extended->id != kTheirId) continue;
    const auto piece = wire::parse_piece(extended->payload);
    EXPECT_TRUE(piece);
    if (piece) pieces.emplace_back(*piece, requests);
  }
  return pieces;
}

void read(Rig& rig, std::uint32_t piece, ReadId id, std::uint64_t length = 100) {
  rig.torrent.add_read(
      id, HandleId(1),
      rig.content.layout().spans(FileIndex(0), std::uint64_t{piece} * kPiece, length), rig.now);
}

TorrentConfig on_demand() {
  TorrentConfig config;
  config.on_demand = true;
  return config;
}

TEST(Reading, IsToldOncePieceBeforeItsFirstBlockToThoseWhoTakeIt) {
  Rig rig(v1_content(), false, on_demand());
  const PeerId ours = rig.accept(1);
  introduce(rig, ours);
  rig.plain(ours, MessageId::have_all);
  rig.plain(ours, MessageId::unchoke);
  read(rig, 3, ReadId(1));
  EXPECT_THAT(told(rig, ours), testing::ElementsAre(testing::Pair(PieceIndex(3), 0)));
  rig.serve(ours);
  const std::size_t before = rig.host.got<wire::Request>(ours).size();
  read(rig, 5, ReadId(2));
  EXPECT_THAT(told(rig, ours), testing::ElementsAre(testing::Pair(PieceIndex(3), 0),
                                                    testing::Pair(PieceIndex(5), before)));
  Rig other(v1_content(), false, on_demand());
  const PeerId stranger = other.seed_peer(1);
  read(other, 3, ReadId(1));
  for (const auto& message : other.host.got<wire::Extended>(stranger))
    EXPECT_EQ(message.id, wire::kExtensionHandshakeId);
}

TEST(Reading, IsToldAgainOfAPieceThatWasLost) {
  Rig rig(v1_content(), false, on_demand());
  const PeerId ours = introduce(rig, rig.seed_peer(1));
  read(rig, 3, ReadId(1));
  rig.serve(ours);
  rig.hash();
  ASSERT_TRUE(rig.torrent.have().test(PieceIndex(3)));
  rig.torrent.on_piece_lost(PieceIndex(3), rig.now);
  read(rig, 3, ReadId(2));
  EXPECT_THAT(told(rig, ours), SizeIs(2));
}

TEST(Reading, IsNotSaidOfWhatNobodyWaitsFor) {
  Rig rig(v1_content());
  const PeerId ours = introduce(rig, rig.seed_peer(1));
  rig.serve(ours);
  EXPECT_FALSE(rig.host.got<wire::Request>(ours).empty());
  EXPECT_THAT(told(rig, ours), IsEmpty());
}

TEST(Reading, AnOfferTakenBackIsKept) {
  Rig rig(v1_content(), false, on_demand());
  const PeerId ours = introduce(rig, rig.seed_peer(1));
  Bytes out;
  wire::ExtensionHandshake off;
  off.ids.sf_reading = 0;
  wire::append_extended(out, wire::kExtensionHandshakeId, wire::encode(off));
  rig.say(ours, out);
  read(rig, 3, ReadId(1));
  EXPECT_FALSE(rig.host.got<wire::Request>(ours).empty());
  EXPECT_THAT(told(rig, ours), IsEmpty());
}

/// A seed of 100 pieces, and leeches of it.
struct Seed {
  Rig rig{make_content(Format::v1, kPiece, {100ULL * kPiece}), true};

  PeerId join(unsigned n) {
    const PeerId peer = rig.accept(n);
    rig.plain(peer, MessageId::have_none);
    rig.plain(peer, MessageId::interested);
    return peer;
  }
  void ask(PeerId peer, std::uint32_t piece) {
    for (std::uint32_t b = 0; b < 4; ++b)
      rig.block_ref(peer, MessageId::request, {PieceIndex(piece), b * kBlockSize, kBlockSize});
  }
  void reads(PeerId peer, Bytes piece) {
    Bytes out;
    std::optional<std::uint8_t> id;
    for (const auto& message : rig.host.got<wire::Extended>(peer))
      if (message.id == wire::kExtensionHandshakeId)
        id = wire::parse_extension_handshake(message.payload)->ids.sf_reading;
    ASSERT_TRUE(id) << "a seed says that it takes it";
    wire::append_extended(out, *id, piece);
    rig.say(peer, out);
  }
  std::size_t sent_before(PeerId peer, std::uint32_t piece) {
    auto& sent = rig.host.peers[peer].blocks;
    for (std::size_t i = 0; i < sent.size(); ++i)
      rig.torrent.on_block_sent(peer, BlockRef(sent[i]), true, rig.now);
    const auto first = std::find_if(sent.begin(), sent.end(), [&](const BlockRef& block) {
      return block.piece == PieceIndex(piece);
    });
    return static_cast<std::size_t>(first - sent.begin());
  }
};

TEST(Reading, GoesBeforeWhatWasAskedForEarlier) {
  for (const bool says_so : {false, true}) {
    Seed seed;
    const PeerId peer = seed.join(1);
    for (std::uint32_t piece = 1; piece < 50; ++piece) seed.ask(peer, piece);
    if (says_so) seed.reads(peer, wire::encode_piece(PieceIndex(60)));
    seed.ask(peer, 60);
    const std::size_t ahead = limits::kSendAhead / kBlockSize;  // given to the socket already
    EXPECT_EQ(seed.sent_before(peer, 60), says_so ? ahead : 4 * 49U);
  }
}

TEST(Reading, DoesNotWaitForTheCopyOfAnother) {
  for (const bool says_so : {false, true}) {
    Seed seed;
    const PeerId first = seed.join(1);
    const PeerId second = seed.join(2);
    seed.ask(first, 7);
    if (says_so) seed.reads(second, wire::encode_piece(PieceIndex(7)));
    seed.ask(second, 7);
    EXPECT_THAT(seed.rig.host.peers[second].blocks, SizeIs(says_so ? 4 : 0));
  }
}

TEST(Reading, OfNoPieceEndsTheConnection) {
  for (const Bytes& wrong : {wire::encode_piece(PieceIndex(100)), Bytes{1, 2, 3}, Bytes{}}) {
    Seed seed;
    const PeerId peer = seed.join(1);
    seed.reads(peer, wrong);
    EXPECT_TRUE(seed.rig.closed(peer));
  }
}

TEST(Reading, OfMorePiecesThanAreRememberedCountsForTheLast) {
  Seed seed;
  const PeerId peer = seed.join(1);
  for (std::uint32_t piece = 0; piece < RecentPieces::kMost + 20; ++piece)
    seed.reads(peer, wire::encode_piece(PieceIndex(piece)));
  for (std::uint32_t piece = 90; piece < 99; ++piece) seed.ask(peer, piece);
  seed.ask(peer, 2);
  seed.ask(peer, RecentPieces::kMost + 10);
  EXPECT_EQ(seed.sent_before(peer, RecentPieces::kMost + 10), limits::kSendAhead / kBlockSize);
  EXPECT_EQ(seed.sent_before(peer, 2), 4 * 10U) << "forgotten";
}

TEST(RecentPieces, KeepTheLatest) {
  RecentPieces recent;
  for (std::uint32_t i = 0; i < 3 * RecentPieces::kMost; ++i) {
    EXPECT_TRUE(recent.note(PieceIndex(i)));
    EXPECT_FALSE(recent.note(PieceIndex(i)));
  }
  EXPECT_EQ(recent.size(), RecentPieces::kMost);
  EXPECT_FALSE(recent.contains(PieceIndex(2 * RecentPieces::kMost - 1)));
  EXPECT_TRUE(recent.contains(PieceIndex(2 * RecentPieces::kMost)));
  recent.forget(PieceIndex(2 * RecentPieces::kMost));
  EXPECT_FALSE(recent.contains(PieceIndex(2 * RecentPieces::kMost)));
  EXPECT_EQ(recent.size(), RecentPieces::kMost - 1);
  EXPECT_TRUE(recent.note(PieceIndex(7)));
  EXPECT_TRUE(recent.contains(PieceIndex(2 * RecentPieces::kMost + 1))) << "there was room";
}

/// v2 peers that greet at once, 20 ms away, and a read that waits for them.
struct FirstFlight {
  Rig rig{make_content(Format::v2, kPiece, {20ULL * kPiece})};

  FirstFlight() { read(rig, 3, ReadId(1)); }
  PeerId dialled(unsigned n, Duration rtt = 20ms) {
    return *rig.torrent.add_peer(address(n), std::nullopt, rtt, rig.now);
  }
  void greets(PeerId peer, unsigned n) {
    Bytes out;
    wire::append_handshake(out, rig.handshake(n, true));
    wire::append_plain(out, MessageId::have_all);
    wire::append_plain(out, MessageId::unchoke);
    rig.say(peer, out);
  }
  std::vector<wire::Request> asked(PeerId peer) { return rig.host.got<wire::Request>(peer); }
  std::vector<wire::HashRequest> hashes(PeerId peer) {
    return rig.host.got<wire::HashRequest>(peer);
  }
};

TEST(FirstFlight, HashesOfOneTheBlockOfTheNext) {
  FirstFlight f;
  const PeerId a = f.dialled(1), b = f.dialled(2), c = f.dialled(3);
  f.rig.pass(20ms);
  f.greets(a, 1);
  EXPECT_THAT(f.hashes(a), SizeIs(1));
  EXPECT_THAT(f.asked(a), IsEmpty()) << "another is about to greet";
  f.rig.pass(1ms);
  f.greets(b, 2);
  EXPECT_THAT(f.hashes(b), IsEmpty());
  ASSERT_FALSE(f.asked(b).empty());
  EXPECT_EQ(f.asked(b)[0].block, (BlockRef{PieceIndex(3), 0, kHalfBlock}));
  ASSERT_THAT(f.asked(a), SizeIs(1)) << "the other half, and nothing that can wait";
  EXPECT_EQ(f.asked(a)[0].block, (BlockRef{PieceIndex(3), kHalfBlock, kHalfBlock}));
  f.greets(c, 3);
  EXPECT_FALSE(f.asked(c).empty()) << "what nobody waits for";
  f.rig.pass(15ms);
  EXPECT_THAT(f.asked(a), SizeIs(1));
  f.rig.tell_leaves(a, PieceIndex(3), f.hashes(a)[0].ref);
  EXPECT_GT(f.asked(a).size(), 1U) << "it owes nothing any more";
}

TEST(FirstFlight, OneAloneIsAskedForBoth) {
  FirstFlight f;
  const PeerId a = f.dialled(1);
  f.rig.pass(20ms);
  f.greets(a, 1);
  EXPECT_THAT(f.hashes(a), SizeIs(1));
  ASSERT_THAT(f.asked(a), SizeIs(1));
  EXPECT_EQ(f.asked(a)[0].block, (BlockRef{PieceIndex(3), 0, kBlockSize}));
}

TEST(FirstFlight, WhoDoesNotGreetIsNotWaitedFor) {
  FirstFlight f;
  const PeerId a = f.dialled(1);
  f.dialled(2);
  f.rig.pass(20ms);
  f.greets(a, 1);
  EXPECT_THAT(f.asked(a), IsEmpty());
  f.rig.pass(limits::kGreetTogether);
  EXPECT_THAT(f.asked(a), SizeIs(1));
}

TEST(FirstFlight, WhoIsFarAwayIsNotWaitedFor) {
  FirstFlight f;
  const PeerId a = f.dialled(1);
  const PeerId far = f.dialled(2, 300ms);
  f.rig.pass(20ms);
  f.greets(a, 1);
  EXPECT_THAT(f.asked(a), SizeIs(1));
  f.greets(far, 2);
  EXPECT_EQ(f.asked(a)[0].block.piece, PieceIndex(3));
}

TEST(FirstFlight, HashesThatDoNotComeHoldNothingUp) {
  FirstFlight f;
  const PeerId a = f.dialled(1), b = f.dialled(2);
  f.rig.pass(20ms);
  f.greets(a, 1);
  f.greets(b, 2);
  f.rig.pass(1s);
  EXPECT_THAT(f.hashes(b), SizeIs(1)) << "asked of the other when they were late";
  EXPECT_GT(f.asked(a).size(), 1U);
}

}  // namespace
}  // namespace swarmfs::engine

// Torrents whose manifest lacks its piece layers (BEP 52), as a magnet link leaves them: the layers
// come from peers, and nothing is asked for that could not be verified.
#include "tests/sim/sim.h"

namespace swarmfs::sim {
namespace {

NodeOptions without_layers(const World& world, NodeOptions options) {
  options.metainfo = world.content->without_layers();
  return options;
}

/// 700 pieces of one block, so that a layer takes two runs.
std::shared_ptr<const Content> long_layer(Format format) {
  return Content::make(format, 700, kBlockSize);
}

TEST(Layers, AreFetchedFromASeedAndPassedOn) {
  for (const Format format : {Format::v2, Format::hybrid}) {
    for (const auto seed : seeds(2)) {
      SCOPED_TRACE(replay(seed));
      World world(long_layer(format), seed);
      auto& source = world.add<EngineNode>(seeder(2e6));
      auto& first = world.add<EngineNode>(without_layers(world, node(2e6, 4e6)));
      auto& second = world.add<EngineNode>(without_layers(world, node(2e6, 4e6)));
      first.meet(source.number);
      second.meet(first.number);  // and so it gets the layer of who had to learn it
      EXPECT_TRUE(world.run_until([&] { return second.complete(); }, 120s));
      EXPECT_TRUE(first.complete());
      for (const EngineNode* n : {&first, &second}) {
        // Hybrids need no layer, so one may be complete before it gets one.
        const bool needed = format == Format::v2 || n == &first;
        EXPECT_EQ(n->layers_learnt(), needed ? 1U : n->layers_learnt());
        EXPECT_EQ(n->stats().layers_missing, 1U - n->layers_learnt());
        EXPECT_EQ(n->stats().failed_pieces, 0U);
        EXPECT_EQ(n->stats().banned, 0U);
      }
      EXPECT_EQ(world.wrong(), "");
    }
  }
}

TEST(Layers, OfWhoGivesNoneNothingIsAskedThatCannotBeVerified) {
  World world(long_layer(Format::v2), 1);
  auto& peer = world.add<ScriptedPeer>(Script{});  // rejects hash requests
  auto& reader = world.add<EngineNode>(without_layers(world, node(1e6, 1e6)));
  reader.meet(peer.number);
  const ReadId read = reader.read(1'000'000, 4096);
  world.run_for(100s);
  EXPECT_EQ(peer.requests, 0U);
  EXPECT_EQ(reader.result(read).error, ErrorKind::timed_out);
  EXPECT_TRUE(peer.connected()) << "not to have a layer is no offence";
  EXPECT_LE(reader.timer_events(), 200U);
  EXPECT_EQ(world.wrong(), "");
}

TEST(Layers, LiarsAreOutAndAReadIsAnsweredAllTheSame) {
  for (const auto seed : seeds()) {
    SCOPED_TRACE(replay(seed));
    World world(long_layer(Format::v2), seed);
    Script lies;
    lies.line = {3e6, 10e6, 1ms, {}, 0};
    lies.on_hash_request = [](ScriptedPeer& self, SocketId socket, const wire::HashRef& ref) {
      const metainfo::merkle::HashRun run{ref.base_layer, ref.index, ref.length, ref.proof_layers};
      std::vector<Sha256Hash> hashes(ref.length + metainfo::merkle::uncle_count(run));
      hashes[self.world().rng() % hashes.size()][0] = 1;
      Bytes out;
      wire::append_hashes(out, ref, hashes);
      self.send(socket, std::move(out));
    };
    Script stalls;
    stalls.line = lies.line;
    stalls.on_hash_request = [](ScriptedPeer&, SocketId, const wire::HashRef&) {};
    auto& liar = world.add<ScriptedPeer>(lies);
    auto& staller = world.add<ScriptedPeer>(stalls);
    auto& honest = world.add<EngineNode>(seeder(1e6));
    NodeOptions o = node(1e6, 4e6);
    o.config.on_demand = true;
    auto& reader = world.add<EngineNode>(without_layers(world, o));
    reader.meet({liar.number, staller.number, honest.number});
    world.run_for(2s);
    EXPECT_EQ(liar.requests + staller.requests, 0U) << "on demand, nobody has asked";
    const ReadId read = reader.read(5'000'000, 100'000);
    EXPECT_TRUE(world.run_until([&] { return reader.result(read).ended.has_value(); }, 60s));
    EXPECT_TRUE(reader.result(read).answered());
    EXPECT_LE(reader.result(read).took(), 10s);
    EXPECT_EQ(reader.stats().banned, 1U);
    EXPECT_FALSE(liar.connected());
    EXPECT_TRUE(staller.connected());
    EXPECT_EQ(reader.stats().failed_pieces, 0U);
    EXPECT_EQ(world.wrong(), "");
  }
}

}  // namespace
}  // namespace swarmfs::sim

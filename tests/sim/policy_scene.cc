#include "tests/sim/policy_scene.h"

#include <cmath>
#include <cstdio>

namespace swarmfs::sim {

static NodeOptions reader_options(bool on_demand, Duration read_timeout) {
  NodeOptions options = node(1e6, 12e6);
  options.config.on_demand = on_demand;
  options.config.read_timeout = read_timeout;
  return options;
}

PolicyScene::PolicyScene(std::shared_ptr<const Content> content, std::uint64_t seed, bool on_demand,
                         Duration timeout)
    : world(std::move(content), seed),
      reader(world.add<EngineNode>(reader_options(on_demand, timeout))),
      watch(world, reader),
      rng(seed * 1000003),
      read_timeout(timeout) {}

EngineNode& PolicyScene::add_source(const NodeOptions& options) {
  auto& source = world.add<EngineNode>(options);
  reader.meet(source.number);
  return source;
}

ScriptedPeer& PolicyScene::add_source(Script script) {
  auto& source = world.add<ScriptedPeer>(std::move(script));
  reader.meet(source.number);
  return source;
}

std::optional<ReadId> PolicyScene::cold_read(std::uint32_t length, HandleId handle) {
  for (int tries = 0; tries < 50; ++tries) {
    const ReadId read = reader.read(below(size() - length), length, handle);
    if (!reader.result(read).ended) return read;
  }
  return std::nullopt;
}

Duration PolicyScene::wait(ReadId read) {
  const bool ended =
      world.run_until([&] { return reader.result(read).ended.has_value(); }, read_timeout * 2);
  EXPECT_TRUE(ended || !world.violations.empty()) << "read " << read.value;
  return reader.result(read).ended ? reader.result(read).took() : read_timeout * 2;
}

void PolicyScene::settle(const Most& most) {
  // A read may end later than read_timeout after it began, if there was progress since.
  world.run_until([&] { return reader.all_reads_ended(); }, read_timeout * 2);
  ASSERT_EQ(world.wrong(), "");
  EXPECT_TRUE(reader.all_reads_ended());
  EXPECT_EQ(engine::TorrentProbe::reads(reader.torrent()), 0U);
  for (const auto& [id, read] : reader.all_reads()) {
    if (!read.ended || read.answered() || read.error == ErrorKind::cancelled) continue;
    ASSERT_EQ(read.error, ErrorKind::timed_out) << "read " << id.value;
    check_timed_out(id, read);
  }
  const WireWatch::Totals& t = watch.totals();
  EXPECT_EQ(t.payload, reader.stats().downloaded) << "the engine and the wire count differently";
  EXPECT_EQ(t.useless + t.crossed, reader.stats().wasted)
      << "the engine and the wire count differently";
  const auto share = [&](double of) { return of * static_cast<double>(t.payload); };
  // A block or two, for scenes that are short.
  EXPECT_LE(static_cast<double>(t.useless),
            share(most.useless) + 2.0 * kBlockSize + static_cast<double>(most.stuck));
  EXPECT_LE(static_cast<double>(t.crossed), share(most.crossed));
}

std::vector<Duration> PolicyScene::waits() const {
  std::vector<Duration> took;
  for (const auto& [id, read] : reader.all_reads())
    if (read.answered() && read.took() > Duration{}) took.push_back(read.took());
  return took;
}

void PolicyScene::print(std::uint64_t seed, const std::vector<Duration>& took) const {
  const auto ms = [&](double q) { return to_seconds(quantile(took, q)) * 1000; };
  const WireWatch::Totals& t = watch.totals();
  const auto percent = [&](std::uint64_t bytes) {
    return 100.0 * static_cast<double>(bytes) / static_cast<double>(t.payload);
  };
  std::printf(
      "seed %llu: %zu waits, p50 %.0f ms, p99 %.0f ms, longest %.0f ms, %.2f %% useless, "
      "%.2f %% crossed a cancel\n",
      static_cast<unsigned long long>(seed), took.size(), ms(0.5), ms(0.99), ms(1),
      percent(t.useless), percent(t.crossed));
}

/// Not sooner than its time without progress, and hardly later.
void PolicyScene::check_timed_out(ReadId id, const EngineNode::Read& read) const {
  TimePoint progress = read.begun;
  for (const Layout::Span& span : read.spans)
    progress = std::max(progress, watch.last_arrival(span.piece));
  // What came after its end was no progress of its.
  if (progress > *read.ended) return;
  EXPECT_GE(*read.ended - progress, read_timeout) << "read " << id.value;
  EXPECT_LE(*read.ended - progress, read_timeout + 100ms) << "read " << id.value;
}

Duration quantile(std::vector<Duration> took, double q) {
  std::sort(took.begin(), took.end());
  const double place = std::ceil(q * static_cast<double>(took.size())) - 1;
  return took.empty() ? Duration{} : took[static_cast<std::size_t>(std::max(0.0, place))];
}

}  // namespace swarmfs::sim

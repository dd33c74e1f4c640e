// What `swarmfs why` says: JSON from what the engine saw, sentences, and text for a terminal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "mount/wait_words.h"
#include "mount/why_report.h"
#include "mount/why_text.h"

namespace swarmfs::mount {
namespace {

using engine::WaitCause;
using nlohmann::json;
using testing::HasSubstr;
using namespace std::chrono_literals;

const Endpoint kPeer = *Endpoint::parse("10.0.0.2:6881");

engine::PeerView peer_view() {
  engine::PeerView peer;
  peer.endpoint = kPeer;
  peer.client = "evil\x1b[31m";
  peer.rtt = 50ms;
  peer.rate_bps = 1 << 20;
  return peer;
}

/// A read of piece 2 that waits for `cause`.
Surroundings around(WaitCause cause) {
  engine::PieceView piece;
  piece.piece = PieceIndex(2);
  piece.span = {PieceIndex(2), 0, 4096};
  piece.cause = cause;
  piece.needed = piece.requested = 1;
  piece.holders = piece.choking = 1;
  piece.peers = {peer_view()};
  engine::BlockView block;
  block.length = 16384;
  engine::CopyView copy;
  copy.peer = peer_view();
  copy.asked = copy.silent = 3200ms;
  copy.expected = 66ms;
  block.copies = {copy};
  piece.blocks = {block};
  engine::ReadView read;
  read.read = ReadId(7);
  read.cause = cause;
  read.times_out = 56s;
  read.pieces = {piece};
  if (cause == WaitCause::asked || cause == WaitCause::overdue) read.peer = kPeer;
  Surroundings s;
  s.answered = true;
  s.torrent.reads = {read};
  s.torrent.peers = 1;
  return s;
}

WaitingRead waiting(TimePoint now) {
  WaitingRead read;
  read.id = ReadId(7);
  read.offset = 131072;
  read.length = 4096;
  read.since = now - 3200ms;
  return read;
}

TEST(Why, HasASentenceForEachCause) {
  const std::pair<WaitCause, const char*> rows[] = {
      {WaitCause::handing_over, "on their way"},
      {WaitCause::verifying, "piece 2 is here and its hash is being checked"},
      {WaitCause::leaf_hashes, "hashes to check them"},
      {WaitCause::busy, "busy with what was asked before: 10.0.0.2:6881"},
      {WaitCause::asked, "10.0.0.2:6881 (evil?[31m) was asked for piece 2 3.2 s ago and should"},
      {WaitCause::overdue, "was asked for piece 2 3.2 s ago and has sent nothing for 3.2 s"},
      {WaitCause::probation, "failed its hash"},
      {WaitCause::limited, "the limit for downloads holds back piece 2"},
      {WaitCause::choked, "the only peer that has piece 2 chokes us: 10.0.0.2:6881"},
      {WaitCause::nobody_has, "the only connected peer does not have piece 2"},
      {WaitCause::no_peers, "no peer is connected and no address of one is known"},
      {WaitCause::layers, "the torrent lacks the hashes of piece 2; nobody can be asked"},
      {WaitCause::paused, "the torrent is paused"}};
  static_assert(std::size(rows) == engine::kWaitCauses);
  std::set<std::string> names;
  for (const auto& [cause, sentence] : rows) {
    const Surroundings s = around(cause);
    EXPECT_THAT(why_sentence(view_of(s, ReadId(7)), s), HasSubstr(sentence)) << name_of(cause);
    names.insert(name_of(cause));
  }
  EXPECT_EQ(names.size(), engine::kWaitCauses);
  EXPECT_THAT(why_sentence(nullptr, around(WaitCause::asked)), HasSubstr("on their way"));
  EXPECT_THAT(why_sentence(nullptr, {}), HasSubstr("too busy"));
  Surroundings alone = around(WaitCause::no_peers);
  alone.torrent.known = 2;
  alone.trackers = {"http://t.example: connection refused"};
  EXPECT_THAT(why_sentence(view_of(alone, ReadId(7)), alone),
              HasSubstr("2 addresses are known, 0 being tried; tracker http://t.example: conn"));
}

TEST(Why, DescribesAWaitingReadInJson) {
  const TimePoint now = TimePoint{} + 1h;
  const json j =
      waiting_json(waiting(now), "t/a", {11, 10, "cat"}, around(WaitCause::overdue), now);
  EXPECT_EQ(j["file"], "t/a");
  EXPECT_EQ(j["offset"], 131072);
  EXPECT_EQ(j["waited_ms"], 3200);
  EXPECT_EQ(j["pid"], 10);
  EXPECT_EQ(j["comm"], "cat");
  EXPECT_EQ(j["cause"], "overdue");
  EXPECT_EQ(j["peer"], "10.0.0.2:6881");
  EXPECT_EQ(j["times_out_ms"], 56000);
  const json& copy = j["pieces"][0]["blocks"][0]["asked_of"][0];
  EXPECT_EQ(copy["rtt_ms"], 50);
  EXPECT_EQ(copy["rate"], 1 << 20);
  EXPECT_EQ(copy["expected_ms"], 66);
  EXPECT_EQ(copy["client"], "evil?[31m");
  const json gone = waiting_json(waiting(now), "t/a", {}, {}, now);
  EXPECT_EQ(gone["cause"], "unknown");
  EXPECT_TRUE(gone["peer"].is_null() && gone["times_out_ms"].is_null());
}

TEST(Why, ShowsAWaitingReadToAPerson) {
  const TimePoint now = TimePoint{} + 1h;
  const json why = {
      {"mountpoint", "/mnt/\x1b]x"},
      {"waiting_reads", 3},
      {"waiting",
       {waiting_json(waiting(now), "t/a", {11, 10, "cat"}, around(WaitCause::overdue), now)}}};
  EXPECT_EQ(
      why_text(why),
      "/mnt/?]x\n"
      "  t/a, 4 KiB at 131072: cat (pid 10, thread 11) has waited 3.2 s, gives up in 56 s\n"
      "    10.0.0.2:6881 (evil?[31m) was asked for piece 2 3.2 s ago and has sent nothing for "
      "3.2 s\n"
      "    piece 2: 0 of 1 blocks here, 1 asked for, 0 not; peers that have it: 1, choking us: 1\n"
      "      block at 0: asked 3.2 s ago of 10.0.0.2:6881 (evil?[31m), RTT 50 ms, 1 MiB/s, "
      "expected within 66 ms behind 0 B; silent for 3.2 s\n"
      "  and 2 more\n");
}

TEST(Why, ShowsWhatWaitedLatelyIfNothingWaits) {
  const TimePoint now = TimePoint{} + 1h;
  PastWait good;
  good.length = 4096;
  good.ended = now - 2s;
  good.waited = 51ms;
  good.story = {ReadSource::peer, "first block from 10.0.0.2:6881 after 51 ms"};
  PastWait bad = good;
  bad.error = ETIMEDOUT;
  bad.story.cause = "no peer was connected";
  json why = {{"mountpoint", "/mnt/x"}, {"waiting", json::array()}, {"recent", json::array()}};
  EXPECT_EQ(why_text(why), "/mnt/x\n  no read waits, and none has waited lately\n");
  why["recent"] = {past_json(good, "t/a", now), past_json(bad, "t/b", now)};
  EXPECT_EQ(why["recent"][0]["source"], "peer");
  EXPECT_EQ(why["recent"][0]["bytes"], 4096);
  EXPECT_TRUE(why["recent"][1]["source"].is_null());
  EXPECT_EQ(why["recent"][1]["errno"], ETIMEDOUT);
  EXPECT_EQ(why_text(why),
            "/mnt/x\n  no read waits; these have waited lately:\n"
            "    t/a, 4 KiB at 0: 51 ms, 2.0 s ago, from peer: first block from 10.0.0.2:6881 "
            "after 51 ms\n"
            "    t/b, 4 KiB at 0: 51 ms, 2.0 s ago, Connection timed out: no peer was connected\n");
}

TEST(Why, TextTakesAnyJson) {
  EXPECT_EQ(why_text(json::array()), "");
  EXPECT_NO_THROW(why_text({{"mountpoint", 7},
                            {"waiting", {1, {{"file", 2}, {"pieces", {{{"blocks", 3}}, "x"}}}}},
                            {"recent", {{"a", 1}}}}));
}

TEST(Why, SaysInWordsWhatAReadWaitedFor) {
  const TimePoint t = TimePoint{} + 1h;
  engine::WaitTrace quick(t);
  quick.asked(kPeer, t);
  quick.arrived(kPeer, true, t + 51ms);
  EXPECT_EQ(words(quick, t + 52ms), "first block from 10.0.0.2:6881 after 51 ms");
  engine::WaitTrace choked(t);
  choked.turn(WaitCause::choked, t);
  choked.asked(kPeer, t + 3s);
  choked.arrived(kPeer, true, t + 3100ms);
  EXPECT_EQ(words(choked, t + 3100ms),
            "everybody who has it choked us (3.0 s of 3.1 s); first block from 10.0.0.2:6881 after "
            "3.1 s");
  engine::WaitTrace silent(t);
  silent.asked(kPeer, t);
  EXPECT_EQ(words(silent, t + 60s),
            "10.0.0.2:6881 was asked and sent nothing (1 min 00 s of 1 min 00 s)");
}

}  // namespace
}  // namespace swarmfs::mount

// The picker against a naive model, under random operations.
#include "swarm/engine/piece_picker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace swarmfs::engine {
namespace {

struct Model {
  std::vector<PieceState> states;
  std::vector<Bitfield> peers;
  unsigned seeds = 0;

  std::uint32_t availability(std::uint32_t piece) const {
    std::uint32_t n = seeds;
    for (const Bitfield& peer : peers) n += peer.test(PieceIndex(piece));
    return n;
  }
};

Bitfield random_bits(std::mt19937& rng, std::uint32_t size) {
  Bitfield bits(size);
  const auto in_ten = rng() % 11;
  for (std::uint32_t i = 0; i < size; ++i)
    if (rng() % 10 < in_ten) bits.set(PieceIndex(i));
  return bits;
}

void expect_agrees(const PiecePicker& picker, const Model& model, std::mt19937& rng, Rng& ties) {
  std::uint32_t absent = 0;
  for (std::uint32_t i = 0; i < model.states.size(); ++i) {
    ASSERT_EQ(picker.state(PieceIndex(i)), model.states[i]);
    ASSERT_EQ(picker.availability(PieceIndex(i)), model.availability(i));
    ASSERT_EQ(picker.have().test(PieceIndex(i)), model.states[i] == PieceState::have);
    absent += model.states[i] == PieceState::absent;
  }
  ASSERT_EQ(picker.absent_count(), absent);

  // What it picks is absent, eligible, and nothing eligible is rarer.
  const Bitfield eligible = random_bits(rng, static_cast<std::uint32_t>(model.states.size()));
  std::set<PieceIndex> looked;
  const auto picked = picker.pick_rarest(
      [&](PieceIndex piece) {
        EXPECT_TRUE(looked.insert(piece).second) << "looked twice";
        return eligible.test(piece);
      },
      ties);
  std::optional<std::uint32_t> rarest;
  for (std::uint32_t i = 0; i < model.states.size(); ++i)
    if (model.states[i] == PieceState::absent && eligible.test(PieceIndex(i)))
      rarest = std::min(rarest.value_or(~0U), model.availability(i));
  ASSERT_EQ(picked.has_value(), rarest.has_value());
  if (!picked) return;
  ASSERT_EQ(model.states[picked->value], PieceState::absent);
  ASSERT_TRUE(eligible.test(*picked));
  ASSERT_EQ(model.availability(picked->value), *rarest);
}

void move_a_piece(PiecePicker& picker, Model& model, std::mt19937& rng) {
  static const std::map<PieceState, std::vector<PieceState>> kEdges = {
      {PieceState::absent, {PieceState::in_flight, PieceState::have}},
      {PieceState::in_flight, {PieceState::verifying, PieceState::absent}},
      {PieceState::verifying, {PieceState::have, PieceState::absent}},
      {PieceState::have, {PieceState::absent}}};
  const std::uint32_t i = static_cast<std::uint32_t>(rng() % model.states.size());
  const auto& next = kEdges.at(model.states[i]);
  model.states[i] = next[rng() % next.size()];
  picker.set_state(PieceIndex(i), model.states[i]);
}

void change_peers(PiecePicker& picker, Model& model, std::mt19937& rng) {
  const auto size = static_cast<std::uint32_t>(model.states.size());
  switch (rng() % 6) {
    case 0:
      model.peers.push_back(random_bits(rng, size));
      picker.add_peer(model.peers.back());
      return;
    case 1:
      if (model.peers.empty()) return;
      picker.remove_peer(model.peers.back());
      model.peers.pop_back();
      return;
    case 2:
      ++model.seeds;
      picker.add_seed();
      return;
    case 3:
      if (model.seeds == 0) return;
      --model.seeds;
      picker.remove_seed();
      return;
    default: {
      if (model.peers.empty()) return;
      Bitfield& peer = model.peers[rng() % model.peers.size()];
      const PieceIndex piece(static_cast<std::uint32_t>(rng() % size));
      if (peer.set(piece)) {
        picker.peer_has(piece);
      } else {
        peer.clear(piece);
        picker.peer_lost(piece);
      }
    }
  }
}

TEST(PiecePicker, AgreesWithANaiveModelUnderRandomOperations) {
  std::mt19937 rng(5);
  Rng ties(6);
  for (const std::uint32_t size : {1U, 2U, 7U, 60U}) {
    for (int round = 0; round < 8; ++round) {
      Model model;
      const Bitfield have = random_bits(rng, size);
      for (std::uint32_t i = 0; i < size; ++i)
        model.states.push_back(have.test(PieceIndex(i)) ? PieceState::have : PieceState::absent);
      PiecePicker picker(have);
      for (int step = 0; step < 400; ++step) {
        if (rng() % 2 == 0) {
          move_a_piece(picker, model, rng);
        } else {
          change_peers(picker, model, rng);
        }
        ASSERT_NO_FATAL_FAILURE(expect_agrees(picker, model, rng, ties)) << size << ' ' << step;
      }
    }
  }
}

TEST(PiecePicker, TiesAreSpreadEvenly) {
  PiecePicker picker(Bitfield(10));
  Rng ties(7);
  std::map<std::uint32_t, int> picks;
  for (int i = 0; i < 10'000; ++i)
    ++picks[picker.pick_rarest([](PieceIndex) { return true; }, ties)->value];
  ASSERT_EQ(picks.size(), 10U);
  for (const auto& [piece, count] : picks) {
    EXPECT_GT(count, 800);
    EXPECT_LT(count, 1200);
  }
}

}  // namespace
}  // namespace swarmfs::engine

#include "swarm/engine/piece_picker.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

namespace swarmfs::engine {

PiecePicker::PiecePicker(const Bitfield& have) : pieces_(have.size()), have_(have), ends_(1, 0) {
  for (std::uint32_t i = 0; i < have.size(); ++i) {
    if (have.test(PieceIndex(i))) {
      pieces_[i].state = PieceState::have;
    } else {
      insert(PieceIndex(i));
    }
  }
}

static bool legal(PieceState from, PieceState to) {
  switch (from) {
    case PieceState::absent:
      return to == PieceState::in_flight || to == PieceState::have;
    case PieceState::in_flight:
      return to == PieceState::verifying || to == PieceState::absent;
    case PieceState::verifying:
      return to == PieceState::have || to == PieceState::absent;
    case PieceState::have:
      return to == PieceState::absent;
  }
  return false;
}

void PiecePicker::set_state(PieceIndex piece, PieceState next) {
  Entry& e = pieces_[piece.value];
  assert(legal(e.state, next));
  if (!legal(e.state, next)) return;
  if (e.state == PieceState::absent) remove(piece);
  if (e.state == PieceState::have) have_.clear(piece);
  e.state = next;
  if (next == PieceState::absent) insert(piece);
  if (next == PieceState::have) have_.set(piece);
}

void PiecePicker::swap_positions(std::uint32_t a, std::uint32_t b) {
  std::swap(order_[a], order_[b]);
  pieces_[order_[a].value].position = a;
  pieces_[order_[b].value].position = b;
}

void PiecePicker::insert(PieceIndex piece) {
  const std::uint32_t availability = pieces_[piece.value].availability;
  while (ends_.size() <= availability) ends_.push_back(static_cast<std::uint32_t>(order_.size()));
  // Enters past the last bucket, then sinks to its own: one swap for each bucket above it.
  order_.push_back(piece);
  pieces_[piece.value].position = static_cast<std::uint32_t>(order_.size() - 1);
  for (std::size_t bucket = ends_.size(); bucket-- > availability + 1;) {
    swap_positions(pieces_[piece.value].position, ends_[bucket - 1]);
    ++ends_[bucket];
  }
  ++ends_[availability];
}

void PiecePicker::remove(PieceIndex piece) {
  for (std::size_t bucket = pieces_[piece.value].availability; bucket < ends_.size(); ++bucket) {
    --ends_[bucket];
    swap_positions(pieces_[piece.value].position, ends_[bucket]);
  }
  assert(order_.back() == piece);
  order_.pop_back();
}

void PiecePicker::raise(PieceIndex piece) {
  Entry& e = pieces_[piece.value];
  if (e.availability == std::numeric_limits<std::uint16_t>::max()) return;
  const std::uint32_t old = e.availability++;
  if (e.state != PieceState::absent) return;
  while (ends_.size() <= old + 1U) ends_.push_back(static_cast<std::uint32_t>(order_.size()));
  --ends_[old];
  swap_positions(e.position, ends_[old]);
}

void PiecePicker::lower(PieceIndex piece) {
  Entry& e = pieces_[piece.value];
  if (e.availability == 0) return;
  const std::uint32_t fresh = --e.availability;
  if (e.state != PieceState::absent) return;
  swap_positions(e.position, ends_[fresh]);
  ++ends_[fresh];
}

void PiecePicker::add_peer(const Bitfield& pieces) {
  for (std::uint32_t i = 0; i < pieces.size(); ++i)
    if (pieces.test(PieceIndex(i))) raise(PieceIndex(i));
}

void PiecePicker::remove_peer(const Bitfield& pieces) {
  for (std::uint32_t i = 0; i < pieces.size(); ++i)
    if (pieces.test(PieceIndex(i))) lower(PieceIndex(i));
}

std::optional<PieceIndex> PiecePicker::pick_rarest(const std::function<bool(PieceIndex)>& eligible,
                                                   Rng& rng) const {
  std::uint32_t begin = 0;
  for (const std::uint32_t end : ends_) {
    const std::uint32_t width = end - begin;
    if (width > 0) {
      const auto start = static_cast<std::uint32_t>(rng() % width);
      for (std::uint32_t k = 0; k < width; ++k) {
        const PieceIndex piece = order_[begin + (start + k) % width];
        if (eligible(piece)) return piece;
      }
    }
    begin = end;
  }
  return std::nullopt;
}

}  // namespace swarmfs::engine

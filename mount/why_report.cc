#include "mount/why_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "mount/format.h"
#include "mount/wait_words.h"

namespace swarmfs::mount {

namespace {

using engine::BlockView;
using engine::CopyView;
using engine::PeerView;
using engine::PieceView;
using engine::ReadView;
using engine::WaitCause;
using nlohmann::json;

/// Milliseconds with three decimals.
double ms(Duration d) { return std::round(to_seconds(d) * 1e6) / 1e3; }

const char* state_name(engine::PieceState state) {
  switch (state) {
    case engine::PieceState::absent:
      return "absent";
    case engine::PieceState::in_flight:
      return "in_flight";
    case engine::PieceState::verifying:
      return "verifying";
    case engine::PieceState::have:
      return "have";
  }
  return "";
}

json peer_json(const PeerView& peer) {
  return {{"peer", peer.endpoint.to_string()},
          {"client", printable(peer.client)},
          {"choking", peer.choking},
          {"snubbed", peer.snubbed},
          {"rtt_ms", ms(peer.rtt)},
          {"rate", std::round(peer.rate_bps)}};
}

json block_json(const BlockView& block) {
  json copies = json::array();
  for (const CopyView& copy : block.copies) {
    json shown = peer_json(copy.peer);
    shown["asked_ms"] = ms(copy.asked);
    shown["silent_ms"] = ms(copy.silent);
    shown["expected_ms"] = ms(copy.expected);
    shown["queued_before"] = copy.queued;
    copies.push_back(std::move(shown));
  }
  return {{"begin", block.begin},
          {"length", block.length},
          {"state", block.copies.empty() ? "not_asked" : "asked"},
          {"leaf_known", block.leaf_known},
          {"hedged", block.copies.size() > 1},
          {"asked_of", std::move(copies)}};
}

json endpoint_json(const std::optional<Endpoint>& endpoint) {
  return endpoint ? json(endpoint->to_string()) : json();
}

json piece_json(const PieceView& piece) {
  json peers = json::array();
  for (const PeerView& peer : piece.peers) peers.push_back(peer_json(peer));
  json blocks = json::array();
  for (const BlockView& block : piece.blocks) blocks.push_back(block_json(block));
  return {{"piece", piece.piece.value},
          {"begin", piece.span.begin},
          {"length", piece.span.length},
          {"state", state_name(piece.state)},
          {"cause", name_of(piece.cause)},
          {"blocks_needed", piece.needed},
          {"blocks_here", piece.here},
          {"blocks_asked", piece.requested},
          {"blocks_not_asked", piece.free},
          {"blocks_hedged", piece.hedged},
          {"leaf_hashes", piece.leaves_known},
          {"hashes_asked_of", endpoint_json(piece.hashes_asked_of)},
          {"have_it", piece.holders},
          {"choke_us", piece.choking},
          {"peers", std::move(peers)},
          {"blocks", std::move(blocks)}};
}

}  // namespace

const ReadView* view_of(const Surroundings& around, ReadId read) {
  for (const ReadView& view : around.torrent.reads)
    if (view.read == read) return &view;
  return nullptr;
}

json waiting_json(const WaitingRead& read, const std::string& file, const Reader& reader,
                  const Surroundings& around, TimePoint now) {
  const ReadView* view = view_of(around, read.id);
  json pieces = json::array();
  if (view != nullptr)
    for (const PieceView& piece : view->pieces) pieces.push_back(piece_json(piece));
  std::string summary = why_sentence(view, around);
  if (around.torrent.disk_full) summary += "; the disk takes nothing more, so memory has to do";
  return {{"file", file},
          {"offset", read.offset},
          {"length", read.length},
          {"waited_ms", ms(now - read.since)},
          {"tid", reader.tid},
          {"pid", reader.pid},
          {"comm", printable(reader.comm)},
          {"cause", !around.answered  ? "unknown"
                    : view == nullptr ? name_of(WaitCause::handing_over)
                                      : name_of(view->cause)},
          {"peer", view == nullptr ? json() : endpoint_json(view->peer)},
          {"times_out_ms", view == nullptr ? json() : json(ms(view->times_out))},
          {"summary", std::move(summary)},
          {"pieces", std::move(pieces)}};
}

json past_json(const PastWait& past, const std::string& file, TimePoint now) {
  static constexpr const char* kSources[] = {"memory", "disk", "peer"};
  const char* source = kSources[static_cast<std::size_t>(past.story.source)];
  return {{"file", file},
          {"offset", past.offset},
          {"length", past.length},
          {"tid", past.tid},
          {"ended_ms_ago", ms(now - past.ended)},
          {"waited_ms", ms(past.waited)},
          {"source", past.error == 0 ? json(source) : json()},
          {"bytes", past.error == 0 ? past.length : 0},
          {"errno", past.error},
          {"cause",
           past.story.cause.empty() ? std::string("waited for this machine") : past.story.cause}};
}

json surroundings_json(const Surroundings& around) {
  if (!around.answered) return nullptr;
  json trackers = json::array();
  for (const std::string& line : around.trackers) trackers.push_back(printable(line));
  return {{"peers", around.torrent.peers},
          {"connecting", around.torrent.connecting},
          {"known", around.torrent.known},
          {"disk_full", around.torrent.disk_full},
          {"trackers", std::move(trackers)}};
}

}  // namespace swarmfs::mount

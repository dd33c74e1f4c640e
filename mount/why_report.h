// What `swarmfs why` says, as JSON: a waiting read as the filesystem knows it, joined with what the
// engine knows of it, and a sentence for a person.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "mount/reader_thread.h"
#include "mount/wait_ring.h"
#include "swarm/engine/torrent_explain.h"

namespace swarmfs::mount {

/// What surrounds the reads of one torrent.
struct Surroundings {
  bool answered = false;  ///< the engine did; else it is busy and `torrent` says nothing
  engine::TorrentView torrent;
  std::vector<std::string> trackers;  ///< a line each
};

/// The engine's word on a read, or null: then its bytes are here and on their way to the reader.
const engine::ReadView* view_of(const Surroundings& around, ReadId read);

/// One sentence about a waiting read. Nothing in it drives a terminal.
std::string why_sentence(const engine::ReadView* read, const Surroundings& around);

/// {"file","offset","length","waited_ms","tid","pid","comm","cause","peer","times_out_ms",
/// "summary","pieces":[{"piece","begin","length","state","cause","blocks_needed","blocks_here",
/// "blocks_asked","blocks_not_asked","blocks_hedged","leaf_hashes","hashes_asked_of","have_it",
/// "choke_us","peers":[{"peer","client","choking","snubbed","rtt_ms","rate"}],
/// "blocks":[{"begin","length","state","leaf_known","hedged","asked_of":[the same and
/// "asked_ms","silent_ms","expected_ms","queued_before"}]}]}]}. Times in milliseconds, rates in
/// bytes a second; "peer", "times_out_ms" and "hashes_asked_of" are null where there is none.
nlohmann::json waiting_json(const WaitingRead& read, const std::string& file, const Reader& reader,
                            const Surroundings& around, TimePoint now);

/// {"file","offset","length","tid","ended_ms_ago","waited_ms","source","bytes","errno","cause"};
/// source is "memory", "disk", "peer", or null for an error; errno a number, 0 for none.
nlohmann::json past_json(const PastWait& wait, const std::string& file, TimePoint now);

/// {"peers","connecting","known","disk_full","trackers"}; null if the engine did not answer.
nlohmann::json surroundings_json(const Surroundings& around);

}  // namespace swarmfs::mount

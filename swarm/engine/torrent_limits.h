// The engine's fixed limits and waits, with where each comes from.
#pragma once

#include <cstdint>

#include "swarm/base/clock.h"

namespace swarmfs::engine::limits {

using namespace std::chrono_literals;

inline constexpr Duration kHandshakeTimeout = 10s;
/// Peers send a keep-alive every two minutes (BEP 3); some are a little late.
inline constexpr Duration kIdleTimeout = 150s;
inline constexpr Duration kKeepAlive = 100s;
/// A peer with requests of ours that delivers nothing for so long is snubbed.
inline constexpr Duration kBlockTimeout = 8s;
inline constexpr Duration kHashTimeout = 4s;
/// What a peer may need for hashes beyond twice the time of a block: it may have to compute them.
inline constexpr Duration kHashSlack = 100ms;
/// Peers that were dialled at once differ by so much in when their answers are worked on, at most.
inline constexpr Duration kGreetTogether = 5ms;
/// A peer that neither side wants anything of gives way to a newcomer after this time without
/// payload, if there is no room otherwise; one of them at most in each kMakeRoomEvery.
inline constexpr Duration kIdleBeforeRoom = 60s;
inline constexpr Duration kMakeRoomEvery = 1s;
/// With too many connections, one that is no older and has carried nothing may go (pair_rank()).
inline constexpr Duration kSettling = 5s;
/// How often a torrent looks whether the others have left it room.
inline constexpr Duration kAskForRoom = 2s;
/// Never spin: the earliest the engine asks to be woken again.
inline constexpr Duration kMinWake = 5ms;
/// Requests a peer may queue with us; more are rejected.
inline constexpr std::size_t kMaxQueuedRequests = 2000;
/// Requests kept with one peer, whatever it offers to queue.
inline constexpr unsigned kMaxDepth = 1000;
/// Blocks that a reader waits for may be asked beyond a peer's depth, so many: they do not wait for
/// an answer to make room.
inline constexpr unsigned kUrgentAhead = 8;
/// Blocks kept with a web seed beyond its depth, if they take no longer than so; and as many that a
/// reader waits for, whatever they take.
inline constexpr std::size_t kWebRun = 64;
inline constexpr Duration kWebRunLasts = 40ms;
/// Leaf hashes kept for peers that ask (4 MiB of them and their trees).
inline constexpr std::size_t kCachedLeaves = 1U << 16;
/// Longest block served; we ask for 16 KiB, some clients for more.
inline constexpr std::uint32_t kMaxServedBlock = 128 * 1024;
/// Bytes handed to the socket ahead of its draining: enough to keep it busy, few enough that a
/// later, better choice of block still counts.
inline constexpr std::uint32_t kSendAhead = 256 * 1024;
/// Blocks nobody asked for (or asked for long ago) before a peer is dropped as a flooder.
inline constexpr unsigned kMaxUnasked = 4000;
/// Messages that make us work far more than they cost to send (changes of interest, chokes, pieces
/// taken back): a peer may send this many at once and this many a second.
inline constexpr double kPatience = 1000;
inline constexpr double kPatiencePerSecond = 100;
/// Longest message taken, unless the bitfield is longer: piece messages have 16 KiB, runs of hashes
/// about as much, metadata pieces (BEP 9) a little more.
inline constexpr std::uint32_t kMaxMessage = 64 * 1024;
/// A peer's unsent output beyond which its hash requests are rejected.
inline constexpr std::size_t kMaxUnsentAnswers = 256 * 1024;
/// What a block given to the host counts for at least: requests for single bytes must not make
/// the queue towards a peer that does not read a long one.
inline constexpr std::uint32_t kMinSendCost = 4 * 1024;
/// Pieces whose sent blocks are counted, for each peer.
inline constexpr std::size_t kMaxSentPieces = 256;
/// Under which id we want ut_metadata messages (BEP 9).
inline constexpr std::uint8_t kMetadataId = 2;
/// The same for ut_pex (BEP 11).
inline constexpr std::uint8_t kPexId = 3;
/// The same for ut_holepunch (BEP 55).
inline constexpr std::uint8_t kHolepunchId = 4;
/// How often one connection may fetch our whole info dictionary.
inline constexpr std::uint32_t kMetadataCopies = 2;
/// How long writing to a disk that failed is left alone.
inline constexpr Duration kDiskRest = 30s;
/// Copies of one block in flight: two, and three while a reader waits.
inline constexpr std::size_t kMaxCopies = 2;
inline constexpr std::size_t kMaxUrgentCopies = 3;
/// Overdue blocks are looked for so often, for so many readers and so many pieces ahead of each.
inline constexpr Duration kHedgeEvery = 10ms;
inline constexpr unsigned kReadsHedged = 32;
inline constexpr std::uint32_t kPiecesHedgedAhead = 4;
/// Of the bytes that came, one in so many may be asked for twice ahead of readers and in the end
/// game.
inline constexpr std::uint64_t kHedgedShare = 50;
/// How long a peer that others had to stand in for is thought to be as late again.
inline constexpr Duration kLatenessLasts = 10s;
/// One byte in so many may come twice, and so many at first, before second copies for readers are
/// asked for more sparingly.
inline constexpr std::uint64_t kDuplicatesShare = 64;
inline constexpr std::uint64_t kDuplicatesAtFirst = 128 << 10;
/// A reader with a rate of its own below this share of what the peers deliver can be kept ahead of;
/// one that is faster takes what comes.
inline constexpr double kPacedShare = 0.8;
/// Blocks of films about to stall that go before others' parked reads in a row, and how soon such a
/// film would stall, beside the time that its next piece takes.
inline constexpr unsigned kPressingRun = 3;
inline constexpr Duration kPressingSlack = 300ms;
/// How long a reader's window lasts at least, at all that the peers bring, if everything is wanted
/// in the end; and the most bytes that a window is widened to.
inline constexpr Duration kWindowLasts = 500ms;
inline constexpr double kWidestFill = 64 << 20;
/// A peer that has delivered nothing yet is asked for one block alone that a reader gets to sooner.
inline constexpr Duration kUntriedSlack = 2s;
/// Parked reads looked at when choosing the next urgent block.
inline constexpr unsigned kReadsLookedAt = 128;
/// Hash requests in flight to one peer, and the longest run of hashes (BEP 52 peers' own limits).
inline constexpr std::size_t kMaxHashFetches = 2;
/// Pieces that take at least so long are verified block by block ahead of a reader.
inline constexpr Duration kLongPiece = 50ms;
inline constexpr std::uint32_t kMaxHashRun = 512;
/// How long a peer that does not give piece layers is not asked for more: it may get them itself.
/// As long for one that let a request for leaves lie.
inline constexpr Duration kLayerRest = 10s;
inline constexpr std::size_t kMaxLeafRequests = 64;
inline constexpr unsigned kMaxPeerLeafRequests = 8;
inline constexpr std::size_t kMaxSuggested = 16;
/// How long a seed keeps others waiting for a piece whose first copy makes no progress, or is done.
inline constexpr Duration kFirstCopyPatience = 400ms;
/// And how long at most, so that a peer that takes its time on purpose holds nobody up.
inline constexpr Duration kFirstCopyLongest = 30s;
/// Blocks that a seed sends a peer ahead of its oldest request: 4 MiB.
inline constexpr unsigned kMostOvertaken = 256;

}  // namespace swarmfs::engine::limits

#include "swarm/engine/peer_pace.h"

#include <cmath>
#include <utility>

namespace swarmfs::engine {

using namespace std::chrono_literals;

static constexpr double kTau = 2.0;  // seconds
/// A silence that may be between two turns of a peer, and the longest turn that is waited for.
static constexpr Duration kLeastSilence = 100ms;
static constexpr Duration kLongestTurn = 1s;
static constexpr int kTurnsAveraged = 4;
static constexpr double kTripsOfRate = 5;
/// Round trips in a row that brought no more than the one before, and all of it late, until a line
/// is taken for full though there may be another reason.
static constexpr unsigned kDoubtfulTrips = 3;

void RateMeter::decay(TimePoint now) {
  if (now > last_) weight_ *= std::exp(-to_seconds(now - last_) / kTau);
  last_ = std::max(last_, now);
}

double RateMeter::bps(TimePoint now) const {
  RateMeter copy = *this;
  copy.decay(now);
  return copy.weight_ / kTau;
}

void PeerPace::on_block(std::uint32_t bytes, TimePoint sent, TimePoint now,
                        std::size_t outstanding) {
  const Duration latency = now - sent;
  if (outstanding <= kMinDepth) lightest_ = std::min(lightest_, latency);
  if (latency <= min_rtt_ || min_rtt_at_ == TimePoint{}) {
    min_rtt_ = latency;
    min_rtt_at_ = now;
    lightest_ = Duration::max();
  } else if (rtt_is_old(now) && lightest_ != Duration::max()) {
    min_rtt_ = lightest_;
    min_rtt_at_ = now;
    lightest_ = Duration::max();
  }
  const Trip trip = note_trip(sent, now);
  note_turn(sent, now);
  // Service time: from the arrival before, or from the request if the peer was idle until then.
  const double service = to_seconds(now - std::max(last_arrival_, sent));
  last_arrival_ = now;
  busy_bytes_ += bytes;
  busy_seconds_ += std::max(service, 1e-6);
  rate_ = busy_bytes_ / busy_seconds_;
  // Keep about half a second, or the last 32 blocks, of memory; on a long path several round trips,
  // as what comes at once after a pause is not the peer's rate.
  if (busy_seconds_ > std::max(0.5, kTripsOfRate * to_seconds(min_rtt_)) &&
      busy_bytes_ > 32.0 * kBlockSize) {
    busy_bytes_ /= 2;
    busy_seconds_ /= 2;
  }
  if (slow_start_) {
    const Duration prompt = min_rtt_ + slack();
    // Doubles per round trip, and rests while blocks queue.
    if (latency <= prompt && outstanding >= depth_) ++depth_;
    ++came_;
    soonest_ = std::min(soonest_, latency);
    if (trip != Trip::goes_on) {
      const bool full = soonest_ > prompt && came_ * 4 < came_before_ * 5;
      full_trips_ = full ? full_trips_ + 1 : 0;
      // One lost segment makes a round trip late, and TCP's own start some.
      const bool doubtful = trip == Trip::had_a_pause || depth_ <= 2 * kMinDepth;
      slow_start_ = full_trips_ < (doubtful ? kDoubtfulTrips : 1);
      came_before_ = std::exchange(came_, 0);
      soonest_ = Duration::max();
    }
  } else {
    if (trip != Trip::goes_on) change_cover();
    Duration lasts = min_rtt_ + slack();
    if (!line_is_full()) lasts = std::max(lasts + cover_, 2 * turn_);
    depth_ = 2 + static_cast<unsigned>(rate_ * to_seconds(lasts) / kBlockSize);
  }
}

PeerPace::Trip PeerPace::note_trip(TimePoint sent, TimePoint now) {
  const Duration usual = from_seconds(rate_ > 0 ? kBlockSize / rate_ : 0);
  if (sent <= last_arrival_) longest_pause_ = std::max(longest_pause_, now - last_arrival_ - usual);
  if (now - trip_began_ < min_rtt_) return Trip::goes_on;
  // What is shorter is no loss: others take their turns on a line that they share.
  const Duration pause =
      longest_pause_ < min_rtt_ * 3 / 4 ? Duration{} : std::min(longest_pause_, min_rtt_ * 2);
  mean_pause_ += (pause - mean_pause_) / kTripsAveraged;
  longest_pause_ = {};
  trip_began_ = now;
  return pause > Duration{} ? Trip::had_a_pause : Trip::ended;
}

void PeerPace::note_turn(TimePoint sent, TimePoint now) {
  const Duration silence = now - std::max(last_arrival_, sent);
  if (silence < kLeastSilence) {
    ++turn_blocks_;
    return;
  }
  const Duration turn = now - turn_began_;
  // One block after each silence is a slow line.
  const bool burst = turn_blocks_ + 1 >= kMinDepth && silence > turn * 3 / 4;
  if (burst) lightest_ = std::min(lightest_, now - sent);
  turn_ += ((burst ? std::min(turn, kLongestTurn) : Duration{}) - turn_) / kTurnsAveraged;
  turn_began_ = now;
  turn_blocks_ = 0;
}

Duration PeerPace::slack() const {
  // On a long path a flow that others left room for takes it up slowly: it gets more to spare.
  const double longness = std::min(1.0, to_seconds(min_rtt_) / 0.2);
  return std::max<Duration>(10ms, from_seconds(to_seconds(min_rtt_) * (1 + longness) / 4));
}

void PeerPace::change_cover() {
  const Duration wanted = pauses() ? mean_pause_ * 3 / 2 : Duration{};
  cover_ = line_is_full() ? cover_ / 2 : std::min(wanted, cover_ + min_rtt_ / 2);
}

void PeerPace::path_rtt_is(std::optional<PathRtt> rtt, TimePoint now) {
  path_asked_at_ = now;
  // A queue that has overflowed is empty for a moment, and not the shorter for it.
  queueing_ = std::max(rtt ? rtt->queueing() : Duration{}, queueing_ * 3 / 4);
  if (!rtt || min_rtt_ == Duration::max() || rtt->shortest <= min_rtt_) return;
  min_rtt_ = rtt->shortest;
  min_rtt_at_ = now;
}

Duration PeerPace::estimate(std::uint64_t queued) const {
  const double rate = rate_ > 0 ? rate_ : kUnknownRate;
  return rtt() + from_seconds((static_cast<double>(queued) + kBlockSize) / rate);
}

}  // namespace swarmfs::engine

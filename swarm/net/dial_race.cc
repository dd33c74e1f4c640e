#include "swarm/net/dial_race.h"

#include <algorithm>
#include <utility>

namespace swarmfs::net {

DialRace::DialRace(std::vector<DialWay> ways)
    : ways_(std::move(ways)), states_(ways_.size(), State::waiting) {
  for (const DialWay& way : ways_)
    if (unreachable_.size() <= way.transport) unreachable_.resize(way.transport + 1);
  if (!ways_.empty()) stage_ = ways_.front().stage;
}

void DialRace::begin(TimePoint now) {
  stage_began_ = now;
  go_on(now);
}

void DialRace::on_connected(std::size_t way, TimePoint now) {
  if (states_[way] != State::connecting) return;
  states_[way] = State::connected;
  for (std::size_t i = 0; i < ways_.size(); ++i)
    if (i != way && ways_[i].stage == ways_[way].stage) drop(i);
  if (ways_[way].stage == stage_) connected_at_ = now;
  go_on(now);
}

void DialRace::on_answered(std::size_t way) {
  if (states_[way] != State::connected) return;
  for (std::size_t i = 0; i < ways_.size(); ++i)
    if (i != way) drop(i);
  winner_ = way;
  deadline_ = TimePoint::max();
}

void DialRace::on_failed(std::size_t way, TimePoint now) {
  if (winner_ || states_[way] == State::waiting || states_[way] == State::over) return;
  if (states_[way] == State::connecting) unreachable_[ways_[way].transport] = true;
  states_[way] = State::over;
  go_on(now);
}

void DialRace::on_timer(TimePoint now) {
  if (!winner_ && !lost_) go_on(now);
}

bool DialRace::any(unsigned stage, State state) const {
  for (std::size_t i = 0; i < ways_.size(); ++i)
    if (ways_[i].stage == stage && states_[i] == state) return true;
  return false;
}

bool DialRace::under_way(unsigned stage) const {
  return any(stage, State::connecting) || any(stage, State::connected);
}

bool DialRace::running(std::size_t way) const {
  return states_[way] == State::connecting || states_[way] == State::connected;
}

bool DialRace::alone(std::size_t way) const {
  for (std::size_t i = 0; i < ways_.size(); ++i)
    if ((i == way) != running(i) || states_[i] == State::waiting) return false;
  return true;
}

void DialRace::drop(std::size_t way) {
  if (states_[way] == State::connecting || states_[way] == State::connected) drops_.push_back(way);
  states_[way] = State::over;
}

void DialRace::go_on(TimePoint now) {
  deadline_ = TimePoint::max();
  for (std::size_t i = 0; i < ways_.size(); ++i) {
    if (states_[i] != State::waiting) continue;
    const DialWay& way = ways_[i];
    if (way.stage != stage_) {
      const bool patient = any(stage_, State::waiting) || any(stage_, State::connecting) ||
                           (any(stage_, State::connected) && now < *connected_at_ + kPatience);
      if (patient) {
        if (connected_at_ && any(stage_, State::connected))
          deadline_ = std::min(deadline_, *connected_at_ + kPatience);
        break;
      }
      stage_ = way.stage;
      stage_began_ = now;
      connected_at_.reset();
    }
    if (unreachable_[way.transport]) {
      states_[i] = State::over;
    } else if (now >= stage_began_ + way.after || !under_way(stage_)) {
      states_[i] = State::connecting;
      starts_.push_back(i);
    } else {
      deadline_ = std::min(deadline_, stage_began_ + way.after);
    }
  }
  lost_ = std::ranges::all_of(states_, [](State state) { return state == State::over; });
}

std::vector<std::size_t> DialRace::take_starts() { return std::exchange(starts_, {}); }
std::vector<std::size_t> DialRace::take_drops() { return std::exchange(drops_, {}); }

}  // namespace swarmfs::net

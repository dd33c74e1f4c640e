// Time and randomness are arguments: nothing below swarm/net reads a clock or a random device.
#pragma once

#include <chrono>
#include <random>

namespace swarmfs {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;
using Rng = std::mt19937_64;

constexpr double to_seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
constexpr Duration from_seconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

}  // namespace swarmfs

// One line on the terminal that shows how far long work has come.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "swarm/base/clock.h"

namespace swarmfs::mount {

/// "hashing  45%  1.2 of 2.7 GiB  310 MiB/s  5 s left  <extra>", cut to `columns`.
/// `rate` in bytes a second; no rate and no time left are shown while it is 0.
std::string progress_text(std::string_view verb, std::uint64_t done, std::uint64_t total,
                          double rate, std::string_view extra, std::size_t columns);

/// Redraws the line at most ten times a second, and only if stderr is a terminal and `enabled`;
/// takes it away when it goes out of scope. Not thread-safe.
class ProgressLine {
 public:
  explicit ProgressLine(std::string verb, bool enabled = true);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Says that `done` of `total` bytes are done; `extra` is shown at the end of the line.
  void update(std::uint64_t done, std::uint64_t total, std::string_view extra = {});
  /// Takes the line away, so that other output starts on a clean one.
  void clear();

 private:
  std::string verb_;
  bool active_;
  bool drawn_ = false;
  TimePoint drawn_at_{};
  TimePoint rate_at_{};
  std::uint64_t rate_done_ = 0;
  double rate_ = 0;
};

}  // namespace swarmfs::mount

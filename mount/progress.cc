#include "mount/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "mount/format.h"

namespace swarmfs::mount {
namespace {

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string progress_text(std::string_view verb, std::uint64_t done, std::uint64_t total,
                          double rate, std::string_view extra, std::size_t columns) {
  const auto percent =
      total > 0
          ? static_cast<unsigned>(100.0 * static_cast<double>(done) / static_cast<double>(total))
          : 100U;
  std::string line(verb);
  line += "  " + std::to_string(std::min(percent, 100U)) + "%  " + human_size(done) + " of " +
          human_size(total);
  if (rate > 0) {
    line += "  " + human_rate(rate);
    if (done < total) {
      line += "  " + human_duration(static_cast<double>(total - done) / rate) + " left";
    }
  }
  if (!extra.empty()) line += "  " + printable(extra);
  if (line.size() >= columns) line.resize(columns > 0 ? columns - 1 : 0);
  return line;
}

ProgressLine::ProgressLine(std::string verb, bool enabled)
    : verb_(std::move(verb)), active_(enabled && ::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::update(std::uint64_t done, std::uint64_t total, std::string_view extra) {
  if (!active_) return;
  const TimePoint now = std::chrono::steady_clock::now();
  if (rate_at_ == TimePoint{}) {
    rate_at_ = now;
    rate_done_ = done;
  }
  if (drawn_ && now - drawn_at_ < std::chrono::milliseconds(100)) return;
  const double elapsed = to_seconds(now - rate_at_);
  if (elapsed >= 0.5 && done >= rate_done_) {
    // Smoothed over some seconds, so that the time left does not jump about.
    const double current = static_cast<double>(done - rate_done_) / elapsed;
    const double weight = rate_ > 0 ? 1 - std::exp(-elapsed / 5) : 1;
    rate_ += weight * (current - rate_);
    rate_at_ = now;
    rate_done_ = done;
  }
  const std::string line = progress_text(verb_, done, total, rate_, extra, terminal_columns());
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
  drawn_at_ = now;
}

void ProgressLine::clear() {
  if (!std::exchange(drawn_, false)) return;
  std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
}

}  // namespace swarmfs::mount

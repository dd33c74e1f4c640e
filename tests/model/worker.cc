#include "tests/model/worker.h"

#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <numeric>

namespace swarmfs::model {

namespace {

std::int64_t steady_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// What the end of the mount may show to any operation.
bool says_ended(int error) {
  return error == ENOTCONN || error == ECONNABORTED || error == ENOENT || error == ENODEV;
}

}  // namespace

Worker::Worker(Job job)
    : job_(std::move(job)),
      rng_(job_.seed),
      scratch_(::memfd_create("scratch", MFD_CLOEXEC)),
      buffer_(2 << 20) {
  if (scratch_ < 0 || ::pipe(pipe_) != 0) fail("cannot make a file in memory and a pipe");
}

int Worker::run() {
  if (job_.interrupted) {
    struct sigaction action {};
    action.sa_handler = [](int) {};  // without SA_RESTART: calls return EINTR
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often = {{0, 37'000}, {0, 37'000}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
  }
  const auto table = operations();
  std::vector<unsigned> weights;
  for (const Operation& operation : table) weights.push_back(operation.weight);
  std::discrete_distribution<std::size_t> choose(weights.begin(), weights.end());
  Slot& slot = job_.shared.slots[job_.index];
  // From the first operation to the last, the same seed gives the same ones: each has numbers of
  // its own, however many the one before it took.
  std::mt19937_64 seeds(job_.seed);
  try {
    while (true) {
      rng_.seed(seeds());
      const std::size_t i = choose(rng_);
      now_ = &table[i];
      direct_ = false;
      ++number_;
      say("%s", now_->name);
      const std::int64_t began = steady_us();
      slot.began_ms = began / 1000;
      (this->*now_->run)();
      const std::int64_t took = steady_us() - began;
      std::int64_t slowest = job_.shared.slowest_us[i];
      while (took > slowest && !job_.shared.slowest_us[i].compare_exchange_weak(slowest, took)) {
      }
      ++job_.shared.count[i];
      ++slot.done;
    }
  } catch (const Ended&) {
    slot.began_ms = 0;
    return 0;
  }
}

void Worker::say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  auto& what = job_.shared.slots[job_.index].what;
  std::vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
}

void Worker::fail(const std::string& why) {
  std::fprintf(stderr, "model: worker %u of seed %llu, operation %llu: %s%s: %s\n", job_.index,
               static_cast<unsigned long long>(job_.seed), static_cast<unsigned long long>(number_),
               job_.shared.slots[job_.index].what, direct_ ? " (O_DIRECT)" : "", why.c_str());
  ::_exit(1);
}

void Worker::refused(int error) {
  if (job_.shared.ending && says_ended(error)) throw Ended{};
  const auto& permitted = now_->permitted;
  if (std::find(permitted.begin(), permitted.end(), error) == permitted.end() &&
      !(job_.interrupted && error == EINTR) && !(direct_ && error == EINVAL))
    fail(std::string("ended with ") + std::strerror(error));
  ++job_.shared.refused[now_ - operations().data()];
}

void Worker::expect_error(long result, int error) {
  const int found = result < 0 ? errno : 0;
  if (found == error) return;
  if (found == 0) fail(std::string("succeeded, and not with ") + std::strerror(error));
  refused(found);
}

bool Worker::compare(long n, const char* got, const Entry& file, std::uint64_t offset,
                     std::uint64_t asked, bool may_be_short) {
  if (n < 0) {
    refused(errno);
    return false;
  }
  const auto count = static_cast<std::uint64_t>(n);
  const std::uint64_t size = file.bytes.size();
  const std::uint64_t expected = offset >= size ? 0 : std::min(asked, size - offset);
  // What waits for the rest is ended by a signal, and by the end of the mount, with what it has.
  may_be_short |= job_.interrupted || job_.shared.ending;
  if (count > expected || (count < expected && (!may_be_short || count == 0)))
    fail("returned " + std::to_string(count) + " bytes, not " + std::to_string(expected));
  if (count == 0 || std::memcmp(got, file.bytes.data() + offset, count) == 0) return true;
  const auto* const right = file.bytes.data() + offset;
  const auto differs = std::mismatch(got, got + count, right).first - got;
  fail("a wrong byte at " + std::to_string(offset + static_cast<std::uint64_t>(differs)) + " of " +
       file.path);
}

std::uint64_t Worker::some_offset(std::uint64_t size) {
  constexpr std::uint64_t kBorders[] = {4096, 16384, 65536, 131072};
  switch (below(4)) {
    case 0: {  // beside a border
      const std::uint64_t border = kBorders[below(4)];
      const std::uint64_t near = below(size / border + 1) * border + below(3);
      return near == 0 ? 0 : near - 1;
    }
    case 1:  // about the end
      return size - std::min(size, below(5000)) + below(2);
    default:
      return below(size + 1);
  }
}

std::uint64_t Worker::some_length() {
  switch (below(16)) {
    case 0:
      return below(buffer_.size()) + 1;
    case 1:
      return 0;
    case 2:
    case 3:
    case 4:
      return below(128 << 10) + 1;
    default:
      return below(5000) + 1;
  }
}

Worker::Handle& Worker::some_handle() {
  if (handles_.empty()) open_file();
  if (handles_.empty()) fail("no file could be opened");
  Handle& handle = handles_[below(handles_.size())];
  direct_ = handle.direct;  // a disk that the kernel reads itself may want its alignment
  return handle;
}

}  // namespace swarmfs::model

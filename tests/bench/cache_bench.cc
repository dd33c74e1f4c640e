// Measures the store against plain system calls in the same folder: writing, what syncing costs,
// reading from the page cache. Usage: cache_bench FOLDER [MiB]
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "cache/store.h"

namespace {

using namespace swarmfs;
using namespace swarmfs::cache;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kPiece = 1 << 20;

double since(Clock::time_point start) { return to_seconds(Clock::now() - start); }

void show(const char* what, double mib, double seconds, const std::string& more = "") {
  std::printf("%-44s %8.0f MB/s  %s\n", what, mib * 1.048576 / seconds, more.c_str());
}

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "cache_bench: %s\n", why.c_str());
  std::exit(1);
}

void settle() { ::sync(); }

void plain_write(const fs::path& file, std::uint32_t count, const Bytes& piece, bool sync) {
  settle();
  const auto start = Clock::now();
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) stop("cannot open " + file.string());
  for (std::uint32_t i = 0; i < count; ++i)
    if (::pwrite(fd, piece.data(), piece.size(), off_t{i} * kPiece) != ssize_t{kPiece})
      stop("cannot write");
  if (sync) ::fdatasync(fd);
  show(sync ? "plain pwrite 1 MiB, one fdatasync at the end" : "plain pwrite 1 MiB, not synced",
       count, since(start));
  ::close(fd);
}

StoreOptions options_for(const fs::path& folder, std::uint32_t count) {
  StoreOptions options;
  options.layout =
      Layout(kPiece, {{0, std::uint64_t{count} * kPiece, false}}, PieceAddressing::contiguous);
  options.place.root = folder;
  options.state_folder = folder;
  return options;
}

std::unique_ptr<Store> open_store(const StoreOptions& options) {
  auto store = Store::open(options, [](PieceIndex, std::span<const ByteView>) { return true; });
  if (!store) stop(store.error().message);
  return std::move(*store);
}

void store_write(const fs::path& folder, std::uint32_t count, const std::vector<BlockPtr>& blocks,
                 std::uint64_t group_bytes) {
  fs::remove_all(folder);
  settle();
  StoreOptions options = options_for(folder, count);
  options.group_bytes = group_bytes;
  const auto store = open_store(options);
  const auto start = Clock::now();
  for (std::uint32_t i = 0; i < count; ++i)
    if (!store->write_piece(PieceIndex(i), blocks)) stop("cannot store a piece");
  const double accepted = since(start);
  if (!store->flush()) stop("cannot flush");
  const double all = since(start);
  const StoreStats stats = store->stats();
  char more[200];
  std::snprintf(more, sizeof more, "%d flushes, syncing %.0f %%, record %.1f %% of the time",
                static_cast<int>(stats.flushes), 100 * stats.sync_seconds / all,
                100 * stats.commit_seconds / all);
  const std::string group = "groups of " + std::to_string(group_bytes >> 20) + " MiB";
  show(("store, until accepted, " + group).c_str(), count, accepted);
  show(("store, until durable, " + group).c_str(), count, all, more);
}

void reads(const fs::path& file, const fs::path& folder, std::uint32_t count, std::uint32_t size) {
  Bytes out(size);
  const std::uint32_t each = kPiece / size;
  const std::string unit = std::to_string(size >> 10) + " KiB";
  const int fd = ::open(file.c_str(), O_RDONLY);
  for (int round = 0; round < 2; ++round) {  // the first warms the page cache
    const auto start = Clock::now();
    for (std::uint32_t i = 0; i < count * each; ++i)
      if (::pread(fd, out.data(), size, off_t{i} * size) != ssize_t{size}) stop("cannot read");
    if (round == 1) show(("plain pread " + unit).c_str(), count, since(start));
  }
  ::close(fd);
  const auto store = open_store(options_for(folder, count));
  for (int round = 0; round < 2; ++round) {
    const auto start = Clock::now();
    for (std::uint32_t i = 0; i < count * each; ++i)
      if (!store->read(PieceIndex(i / each), i % each * size, out)) stop("cannot read");
    if (round == 1) show(("store read " + unit).c_str(), count, since(start));
  }
  std::uint32_t missed = 0;
  const auto start = Clock::now();
  for (std::uint32_t i = 0; i < count * each; ++i)
    missed += store->try_read(PieceIndex(i / each), i % each * size, out) ? 0 : 1;
  show(("store try_read " + unit).c_str(), count, since(start),
       std::to_string(missed) + " would wait");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) stop("usage: cache_bench FOLDER [MiB]");
  const fs::path folder = fs::path(argv[1]) / "swarmfs-cache-bench";
  const auto count = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 512);
  fs::create_directories(folder);
  std::mt19937_64 rng(1);
  Bytes piece(kPiece);
  for (std::uint8_t& byte : piece) byte = static_cast<std::uint8_t>(rng());
  std::vector<BlockPtr> blocks;
  for (std::uint32_t at = 0; at < kPiece; at += kBlockSize) {
    auto block = std::make_shared<Block>();
    block->size = kBlockSize;
    std::copy_n(piece.begin() + at, kBlockSize, block->data.begin());
    blocks.push_back(std::move(block));
  }
  plain_write(folder / "plain", count, piece, false);
  plain_write(folder / "plain", count, piece, true);
  for (const std::uint64_t group : {16, 64, 256})
    store_write(folder / "store", count, blocks, group << 20);
  for (const std::uint32_t size : {16U << 10, 128U << 10})
    reads(folder / "plain", folder / "store", count, size);
  fs::remove_all(folder);
}

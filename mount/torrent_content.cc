#include "mount/torrent_content.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "mount/wait_words.h"

namespace swarmfs::mount {

/// Where a torrent's store keeps the layers that its manifest lacks.
static constexpr std::string_view kLayersKey = "piece layers";
/// How often what was here, and is not when it is read, is asked for again.
static constexpr unsigned kTries = 3;

std::function<void(cache::Store&)> load_layers(std::shared_ptr<metainfo::PieceRoots> roots) {
  return [roots = std::move(roots)](cache::Store& store) {
    if (roots->unknown() == 0) return;
    const auto kept = store.blob(kLayersKey);
    if (kept && *kept) roots->load(**kept);
  };
}

TorrentContent::TorrentContent(std::shared_ptr<metainfo::PieceRoots> roots,
                               std::unique_ptr<cache::Store> store, std::uint64_t memory_bytes)
    : roots_(std::move(roots)),
      kept_layers_(roots_->learnt()),
      layout_(roots_->metainfo()->layout),
      store_(std::move(store)),
      memory_(memory_bytes) {
  load_pins();
}

bool TorrentContent::collect_from_memory(const Layout::Span& span, Content& out) {
  const std::size_t before = out.size();
  std::uint32_t begin = span.begin;
  const std::uint32_t end = span.begin + span.length;
  while (begin < end) {
    const std::uint32_t block = begin / kBlockSize;
    const BlockPtr data = memory_.get(span.piece, block);
    if (!data) {
      out.resize(before);
      return false;
    }
    const std::uint32_t from = begin % kBlockSize;
    const std::uint32_t take = std::min(end - begin, data->size - from);
    out.push_back({data, data->view().subspan(from, take)});
    begin += take;
  }
  return true;
}

std::optional<TorrentContent::Found> TorrentContent::collect(const Spans& spans, Disk disk) {
  Found found;
  Content& content = found.content;
  for (const Layout::Span& span : spans) {
    if (collect_from_memory(span, content)) continue;
    if (!store_->has(span.piece)) return std::nullopt;
    auto buffer = std::make_shared_for_overwrite<std::uint8_t[]>(span.length);
    const MutableByteView bytes(buffer.get(), span.length);
    const bool here = disk == Disk::may_wait
                          ? static_cast<bool>(store_->read(span.piece, span.begin, bytes))
                          : store_->try_read(span.piece, span.begin, bytes);
    if (!here) return std::nullopt;
    content.push_back({std::move(buffer), bytes});
    found.source = ReadSource::disk;
  }
  return found;
}

ReadId TorrentContent::read(const ReadRequest& request, ReadDone done, ReadPart part) {
  Spans spans = layout_.spans(request.file, request.offset, request.length);
  if (auto found = collect(spans, Disk::must_not_wait)) {
    done(std::move(found->content), {found->source, {}});
    return ReadId{};
  }
  const engine::ReadOwner owner(request.handle, request.reader);
  if (!is_stored(spans))
    return park(owner, std::move(spans), std::move(done), std::move(part), kTries);
  // A piece may have to be hashed first, and the disk may take long, or for ever.
  read_from_disk(owner, std::move(spans), std::move(done), std::move(part), kTries,
                 {ReadSource::disk, {}});
  return ReadId{};
}

bool TorrentContent::is_stored(const Spans& spans) const {
  return std::all_of(spans.begin(), spans.end(),
                     [&](const Layout::Span& span) { return store_->has(span.piece); });
}

void TorrentContent::read_from_disk(engine::ReadOwner owner, Spans spans, ReadDone done,
                                    ReadPart part, unsigned tries, ReadStory story) {
  driver_->wait_for_disk([self = shared_from_this(), owner, spans = std::move(spans),
                          done = std::move(done), part = std::move(part), tries,
                          story = std::move(story)]() mutable {
    if (auto found = self->collect(spans, Disk::may_wait))
      return done(std::move(found->content), std::move(story));
    // A piece that the disk has lost meanwhile is asked for again.
    if (tries == 0)
      return done(fail(ErrorKind::io, "the cache keeps losing what was fetched"), std::move(story));
    self->park(owner, std::move(spans), std::move(done), std::move(part), tries - 1);
  });
}

ReadId TorrentContent::park(engine::ReadOwner owner, Spans spans, ReadDone done, ReadPart part,
                            unsigned tries) {
  auto wanted = spans;
  auto answer = [self = shared_from_this(), owner, spans = std::move(spans), done = std::move(done),
                 part, tries](Result<> result, const engine::WaitTrace& trace) mutable {
    // Whatever it is read from in the end, it had to be fetched.
    ReadStory story{ReadSource::peer, words(trace, std::chrono::steady_clock::now())};
    if (!result) return done(result.error(), std::move(story));
    if (auto found = self->collect(spans, Disk::must_not_wait))
      return done(std::move(found->content), std::move(story));
    // Evicted from memory meanwhile: the disk has it, and that wait is not for this thread.
    self->read_from_disk(owner, std::move(spans), std::move(done), std::move(part), tries,
                         std::move(story));
  };
  return driver_->park_read(owner, std::move(wanted), std::move(answer), std::move(part));
}

std::optional<Content> TorrentContent::peek(FileIndex file, std::uint64_t offset,
                                            std::uint32_t length) {
  auto found = collect(layout_.spans(file, offset, length), Disk::may_wait);
  return found ? std::optional(std::move(found->content)) : std::nullopt;
}

void TorrentContent::keep_layers() {
  const std::size_t learnt = roots_->learnt();
  // A disk that does not take them costs the next run the fetching, and nothing else.
  if (learnt != kept_layers_ && store_->put_blob(kLayersKey, roots_->save())) kept_layers_ = learnt;
}

void TorrentContent::cancel(ReadId read) {
  if (read != ReadId{}) driver_->cancel_read(read);
}

void TorrentContent::set_window(HandleId handle, FileIndex file, std::uint64_t begin,
                                std::uint64_t end, double bps) {
  const std::uint64_t from = layout_.files()[file.value].offset + begin;
  if (begin >= end || from >= layout_.total_size()) return driver_->set_window(handle, {});
  const std::uint64_t last =
      std::min(layout_.files()[file.value].offset + end, layout_.total_size()) - 1;
  const std::uint64_t length = layout_.piece_length();
  const PieceIndex past(static_cast<std::uint32_t>(last / length + 1));
  driver_->set_window(handle, {PieceIndex(static_cast<std::uint32_t>(from / length)), past,
                               std::max(past, layout_.pieces_of(file).end),
                               static_cast<std::uint32_t>(from % length), bps});
}

FilePlace place_in(const Layout& layout, FileIndex file) {
  return {layout.files()[file.value].offset, layout.total_size(), layout.piece_length()};
}

FilePlace TorrentContent::place_of(FileIndex file) const { return place_in(layout_, file); }

void TorrentContent::verify_later(FileIndex file) {
  if (checker_ == nullptr) return;
  checker_->add(this, file, [weak = weak_from_this(), file] {
    const auto self = weak.lock();
    return self && self->store_->verify_next(file);
  });
}

void TorrentContent::close(HandleId handle) { driver_->close_handle(handle); }

std::uint64_t TorrentContent::bytes_here(FileIndex file) const { return store_->bytes_here(file); }

std::string TorrentContent::piece_map(FileIndex file) const {
  std::string map;
  const auto range = layout_.pieces_of(file);
  for (PieceIndex p = range.first; p < range.end; ++p) map += store_->has(p) ? '#' : '.';
  return map;
}

void TorrentContent::put(PieceIndex piece, std::uint32_t block, BlockPtr data) {
  memory_.put(piece, block, std::move(data), true);
}

BlockPtr TorrentContent::get(PieceIndex piece, std::uint32_t block) {
  return memory_.get(piece, block);
}

void TorrentContent::release(PieceIndex piece) {
  memory_.written(piece, layout_.block_count(piece));
}

}  // namespace swarmfs::mount

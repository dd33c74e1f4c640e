#include "mount/page_pusher.h"

#include <utility>

#include "mount/libfuse.h"

namespace swarmfs::mount {

PagePusher::PagePusher(Stored stored) : stored_(std::move(stored)) {}

PagePusher::~PagePusher() { stop(); }

void PagePusher::start(fuse_session* session) {
  session_ = session;
  thread_ = std::thread([this] { run(); });
}

void PagePusher::push(std::shared_ptr<OpenFile> file, std::uint64_t offset, std::uint32_t length) {
  const std::lock_guard lock(mutex_);
  if (ends_ || queue_.size() >= kMaxQueued) return;
  queue_.push_back({std::move(file), offset, length});
  wake_.notify_one();
}

void PagePusher::stop() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
    queue_.clear();
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void PagePusher::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return ends_ || !queue_.empty(); });
    if (ends_) return;
    {
      const Item item = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      store(item);
    }
    lock.lock();
  }
}

void PagePusher::store(const Item& item) {
  const OpenFile& file = *item.file;
  const auto content = file.source()->peek(file.index(), item.offset, item.length);
  if (!content) return;
  // Joined, because a page is only taken as filled if one message fills it.
  Bytes joined;
  joined.reserve(item.length);
  for (const auto& slice : *content) append(joined, slice.bytes);
  fuse_bufvec buffer = FUSE_BUFVEC_INIT(joined.size());
  buffer.buf[0].mem = joined.data();
  const int error = fuse_lowlevel_notify_store(
      session_, file.ino(), static_cast<off_t>(item.offset), &buffer, FUSE_BUF_NO_SPLICE);
  if (error == 0) stored_(file.ino(), item.offset, item.offset + joined.size());
}

}  // namespace swarmfs::mount

#include "mount/info_files.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

namespace swarmfs::mount {

void InfoFiles::start(MakeText make_text) {
  make_text_ = std::move(make_text);
  thread_ = std::thread([this] { run(); });
}

void InfoFiles::stop() {
  std::vector<Opening> waiting;
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
    waiting.swap(waiting_);
  }
  wake_.notify_all();
  for (const Opening& opening : waiting) fuse_reply_err(opening.req, ENOTCONN);
  if (thread_.joinable()) thread_.join();
}

void InfoFiles::open(fuse_req_t req, fs::InfoFile file, const fuse_file_info& info) {
  {
    const std::lock_guard lock(mutex_);
    if (!ends_) {
      waiting_.push_back({req, std::move(file), info});
      wake_.notify_one();
      return;
    }
  }
  fuse_reply_err(req, ENOTCONN);
}

void InfoFiles::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return ends_ || !waiting_.empty(); });
    if (ends_) return;
    std::vector<Opening> openings = std::exchange(waiting_, {});
    lock.unlock();
    answer(std::move(openings));
    lock.lock();
  }
}

void InfoFiles::answer(std::vector<Opening> openings) {
  std::map<std::pair<fs::InfoKind, std::string>, Text> texts;
  for (Opening& opening : openings) {
    const std::pair key(opening.file.kind, opening.file.torrent);
    Text& text = texts[key];
    try {
      if (!text)
        text = std::make_shared<const std::string>(make_text_ ? make_text_(opening.file)
                                                              : std::string());
    } catch (const std::exception&) {
      fuse_reply_err(opening.req, EIO);
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      opening.info.fh = std::exchange(next_, next_ + 2);
      open_.emplace(opening.info.fh, text);
    }
    // The size that stat() shows is 0: the kernel is to ask for what there is all the same.
    opening.info.direct_io = 1;
    const fuse_file_info info = opening.info;
    if (fuse_reply_open(opening.req, &opening.info) != 0) release(info);
  }
}

void InfoFiles::read(fuse_req_t req, const fuse_file_info& info, std::size_t size, off_t offset) {
  Text text;
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = open_.find(info.fh); it != open_.end()) text = it->second;
  }
  if (!text) {
    fuse_reply_err(req, EBADF);
    return;
  }
  const std::size_t begin = std::min(static_cast<std::size_t>(offset), text->size());
  fuse_reply_buf(req, text->data() + begin, std::min(size, text->size() - begin));
}

void InfoFiles::release(const fuse_file_info& info) {
  const std::lock_guard lock(mutex_);
  open_.erase(info.fh);
}

}  // namespace swarmfs::mount

#include "swarm/metainfo/metainfo.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

namespace swarmfs::metainfo {

Result<Bytes> read_torrent(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return fail(ErrorKind::bad_input, path.string() + ": is a folder, not a torrent file");
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             &std::fclose);
  if (!file) return Error::from_errno(errno, path.string());
  Bytes bytes;
  std::size_t got = 0;
  do {
    static constexpr std::size_t kChunk = 1 << 20;
    bytes.resize(bytes.size() + kChunk);
    got = std::fread(bytes.data() + bytes.size() - kChunk, 1, kChunk, file.get());
    bytes.resize(bytes.size() - kChunk + got);
  } while (got > 0 && bytes.size() <= kMaxTorrentSize);
  if (std::ferror(file.get()) != 0) return Error::from_errno(EIO, path.string());
  bytes.shrink_to_fit();  // whoever keeps them keeps no more than that
  return bytes;
}

Result<Metainfo> parse_torrent(const std::filesystem::path& path, ByteView torrent) {
  Result<Metainfo> metainfo = parse(torrent);
  if (!metainfo) {
    return fail(metainfo.error().kind, path.string() + ": " + metainfo.error().message);
  }
  return metainfo;
}

Result<Metainfo> load(const std::filesystem::path& path) {
  const Result<Bytes> bytes = read_torrent(path);
  if (!bytes) return bytes.error();
  return parse_torrent(path, *bytes);
}

}  // namespace swarmfs::metainfo

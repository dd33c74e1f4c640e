#include "tests/model/source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace swarmfs::model {

namespace stdfs = std::filesystem;

static std::string_view map_file(const stdfs::path& path, std::uint64_t length) {
  if (length == 0) return {};
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  void* const map =
      fd < 0 ? MAP_FAILED : ::mmap(nullptr, length, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (map == MAP_FAILED) throw std::system_error(errno, std::generic_category(), path.string());
  ::close(fd);
  return {static_cast<const char*>(map), length};
}

static void add(Source& source, Entry entry) {
  switch (entry.kind) {
    case Entry::Kind::folder:
      source.folders.push_back(entry);
      break;
    case Entry::Kind::link:
      source.links.push_back(entry);
      break;
    case Entry::Kind::file:
      source.files.push_back(entry);
      if (entry.executable) source.programs.push_back(entry);
      break;
  }
  source.entries.push_back(std::move(entry));
}

static void read_folder(Source& source, const stdfs::path& root, const std::string& below) {
  Entry folder;
  folder.kind = Entry::Kind::folder;
  folder.path = below;
  for (const auto& found : stdfs::directory_iterator(root / below)) {
    const std::string name = found.path().filename().string();
    folder.names.insert(name);
    Entry entry;
    entry.path = below.empty() ? name : below + "/" + name;
    if (found.is_symlink()) {
      entry.kind = Entry::Kind::link;
      entry.target = stdfs::read_symlink(found.path()).string();
      add(source, std::move(entry));
    } else if (found.is_directory()) {
      read_folder(source, root, entry.path);
    } else {
      entry.bytes = map_file(found.path(), found.file_size());
      entry.executable =
          (found.status().permissions() & stdfs::perms::owner_exec) != stdfs::perms::none;
      add(source, std::move(entry));
    }
  }
  add(source, std::move(folder));
}

Source read_source(const std::string& root) {
  Source source;
  read_folder(source, root, "");
  return source;
}

}  // namespace swarmfs::model

#include "swarm/metainfo/safe_path.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace swarmfs::metainfo {
namespace {

/// Length of the valid UTF-8 sequence at the start of `text`, or 0 (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = at(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
  const bool surrogate = first == 0xed && at(1) >= 0xa0;
  const bool too_high = first == 0xf4 && at(1) >= 0x90;
  return overlong || surrogate || too_high ? 0 : length;
}

/// The longest prefix of at most `limit` bytes that cuts no UTF-8 sequence in two.
std::string_view utf8_prefix(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<std::uint8_t>(text[limit]) & 0xc0) == 0x80) --limit;
  return text.substr(0, limit);
}

struct SplitName {
  std::string_view stem;
  std::string_view extension;  ///< with its dot; empty if there is none worth keeping
};

SplitName split(std::string_view name) {
  static constexpr std::size_t kMaxExtension = 16;
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || name.size() - dot > kMaxExtension) {
    return {name, {}};
  }
  return {name.substr(0, dot), name.substr(dot)};
}

/// `name` shortened to `limit` bytes, its extension kept.
std::string shortened(std::string_view name, std::size_t limit) {
  const auto [stem, extension] = split(name);
  return std::string(utf8_prefix(stem, limit - extension.size())) + std::string(extension);
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    out += length ? text.substr(0, length) : std::string_view("\xef\xbf\xbd");
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string safe_component(std::string_view raw) {
  if (raw == "." || raw == "..") return {};
  std::string name = valid_utf8(raw);
  for (char& c : name) {
    if (c == '/' || c == '\\' || c == '\0') c = '_';
  }
  return name.size() <= kMaxComponent ? name : shortened(name, kMaxComponent);
}

std::vector<std::string> safe_path(std::span<const std::string_view> raw) {
  std::vector<std::string> out;
  out.reserve(raw.size());
  for (const std::string_view component : raw) {
    std::string safe = safe_component(component);
    if (!safe.empty()) out.push_back(std::move(safe));
  }
  return out;
}

struct UniquePaths::Folder {
  std::map<std::string, std::unique_ptr<Folder>, std::less<>> entries;  ///< null: a file
  /// Where a folder went whose name a file had taken.
  std::map<std::string, std::string, std::less<>> moved;
  /// Next suffix to try per shortened name, so a torrent of equal names costs no square of them.
  std::map<std::string, std::uint32_t, std::less<>> next_suffix;

  std::string free_name(const std::string& name) {
    static constexpr std::size_t kSuffixRoom = 12;
    const std::string base = shortened(name, kMaxComponent - kSuffixRoom);
    const auto [stem, extension] = split(base);
    std::uint32_t& suffix = next_suffix[base];
    std::string candidate;
    do {
      candidate = std::string(stem) + "." + std::to_string(++suffix) + std::string(extension);
    } while (entries.contains(candidate));
    return candidate;
  }
};

UniquePaths::UniquePaths() : root_(std::make_unique<Folder>()) {}
UniquePaths::~UniquePaths() = default;
UniquePaths::UniquePaths(UniquePaths&&) noexcept = default;
UniquePaths& UniquePaths::operator=(UniquePaths&&) noexcept = default;

std::vector<std::string> UniquePaths::add(std::vector<std::string> path) {
  Folder* folder = root_.get();
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    std::string& name = path[i];
    auto entry = folder->entries.find(name);
    if (entry != folder->entries.end() && entry->second == nullptr) {  // a file has the name
      std::string& moved = folder->moved[name];
      if (moved.empty()) moved = folder->free_name(name);
      name = moved;
      entry = folder->entries.find(name);
    }
    if (entry == folder->entries.end()) {
      entry = folder->entries.emplace(name, std::make_unique<Folder>()).first;
    }
    folder = entry->second.get();
  }
  std::string& name = path.back();
  if (folder->entries.contains(name)) name = folder->free_name(name);
  folder->entries.emplace(name, nullptr);
  return path;
}

}  // namespace swarmfs::metainfo

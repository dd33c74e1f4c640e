#include "swarm/engine/web_seed_files.h"

#include "swarm/metainfo/raw_names.h"

namespace swarmfs::engine {

namespace {

/// BEP 19: `path` below the folder of a URL. A query stays behind it.
std::string below(const std::string& target, const std::string& path) {
  const auto query = std::min(target.find('?'), target.size());
  std::string out = target.substr(0, query);
  if (!out.ends_with('/')) out += '/';
  return out + path + target.substr(query);
}

std::vector<std::string> file_targets(const metainfo::Metainfo& m, const wire::Url& base) {
  const metainfo::RawNames names = metainfo::raw_names(m);
  const std::string name = wire::percent_encode(as_bytes(names.name));
  const std::string_view path = std::string_view(base.target).substr(0, base.target.find('?'));
  std::vector<std::string> out(m.files.size());
  for (std::size_t i = 0; i < m.files.size(); ++i) {
    if (m.files[i].pad || m.files[i].length == 0) continue;
    if (m.single_file) {
      out[i] = path.ends_with('/') ? below(base.target, name) : base.target;
      continue;
    }
    std::string relative = name;
    for (const std::string& component : names.paths[i])
      relative += "/" + wire::percent_encode(as_bytes(component));
    out[i] = below(base.target, relative);
  }
  return out;
}

}  // namespace

Result<WebSeedFiles> WebSeedFiles::make(const metainfo::Metainfo& m, std::string_view url,
                                        Kind kind) {
  auto base = wire::Url::parse(url);
  if (!base) return base.error();
  if (base->scheme == "udp")
    return fail(ErrorKind::unsupported, "web seed " + base->redacted() + " is no HTTP address");
  WebSeedFiles out;
  out.kind_ = kind;
  out.base_ = std::move(*base);
  out.layout_ = m.layout;
  if (kind == Kind::files) {
    out.targets_ = file_targets(m, out.base_);
  } else {
    if (!m.hashes.v1)
      return fail(ErrorKind::unsupported,
                  "HTTP seed " + out.base_.redacted() + ": they know nothing of v2 torrents");
    out.info_hash_ = *m.hashes.v1;
  }
  return out;
}

std::vector<WebSeedFiles::Part> WebSeedFiles::parts(const wire::BlockRef& block) const {
  if (kind_ == Kind::script) return {{WebSource(block.piece.value), block.begin, block.length}};
  std::vector<Part> out;
  for (const Layout::Slice& slice : layout_.slices(block.piece, block.begin, block.length)) {
    if (slice.pad) {
      out.push_back({std::nullopt, 0, slice.length});
    } else {
      out.push_back({WebSource(slice.file.value), slice.file_offset, slice.length});
    }
  }
  return out;
}

wire::Url WebSeedFiles::url(WebSource source, std::uint64_t first, std::uint64_t last) const {
  wire::Url url = base_;
  if (kind_ == Kind::files) {
    url.target = targets_[source.value];
    return url;
  }
  url.target += base_.target.find('?') == std::string::npos ? '?' : '&';
  url.target +=
      "info_hash=" + wire::percent_encode(info_hash_) + "&piece=" + std::to_string(source.value);
  if (first != 0 || last + 1 != size(source))
    url.target += "&ranges=" + std::to_string(first) + "-" + std::to_string(last);
  return url;
}

std::uint64_t WebSeedFiles::size(WebSource source) const {
  return kind_ == Kind::files ? layout_.files()[source.value].length
                              : layout_.piece_size(PieceIndex(source.value));
}

Layout::PieceRange WebSeedFiles::pieces_of(WebSource source) const {
  if (kind_ == Kind::files) return layout_.pieces_of(FileIndex(source.value));
  return {PieceIndex(source.value), PieceIndex(source.value + 1)};
}

}  // namespace swarmfs::engine

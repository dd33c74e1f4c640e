// Where the bytes of a torrent's pieces are on a web server: BEP 19 (its files) and BEP 17 (a
// script that knows pieces).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swarm/base/hash.h"
#include "swarm/base/layout.h"
#include "swarm/base/result.h"
#include "swarm/metainfo/metainfo.h"
#include "swarm/wire/peer_message.h"
#include "swarm/wire/url.h"

namespace swarmfs::engine {

/// One place to get bytes from: a file (BEP 19), or a piece (BEP 17).
using WebSource = StrongIndex<struct WebSourceTag>;

/// Immutable.
class WebSeedFiles {
 public:
  enum class Kind : std::uint8_t {
    files,   ///< url-list (BEP 19)
    script,  ///< httpseeds (BEP 17)
  };

  /// `url` as the manifest or the user has it. Errors: bad_input, unsupported (a scheme that is not
  /// HTTP; a script for a torrent without v1 hash, which BEP 17 does not know).
  static Result<WebSeedFiles> make(const metainfo::Metainfo& metainfo, std::string_view url,
                                   Kind kind);

  /// A run of bytes of one source, or zeros that are asked of nobody.
  struct Part {
    std::optional<WebSource> source;  ///< none: zeros (BEP 47)
    std::uint64_t offset = 0;         ///< in the source
    std::uint32_t length = 0;
    bool operator==(const Part&) const = default;
  };
  /// What a block is made of, in order. The block must lie in its piece.
  std::vector<Part> parts(const wire::BlockRef& block) const;

  /// Where a source is. `first` and `last` (inclusive) are bytes of it: in the URL itself for a
  /// script, and for a Range header otherwise.
  wire::Url url(WebSource source, std::uint64_t first, std::uint64_t last) const;
  /// Bytes of a source.
  std::uint64_t size(WebSource source) const;
  /// The pieces that cannot be had without a source.
  Layout::PieceRange pieces_of(WebSource source) const;

  Kind kind() const { return kind_; }
  const wire::Url& base() const { return base_; }
  const Layout& layout() const { return layout_; }

 private:
  WebSeedFiles() = default;

  Kind kind_ = Kind::files;
  wire::Url base_;
  Layout layout_;
  Sha1Hash info_hash_{};              ///< script
  std::vector<std::string> targets_;  ///< files: path and query of each; pads and empty ones: ""
};

}  // namespace swarmfs::engine

// libfuse's operations over a tree. All but reads are answered at once, from memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

#include "fs/tree.h"
#include "mount/attribute_watch.h"
#include "mount/device_turn.h"
#include "mount/fuse_reads.h"
#include "mount/info_files.h"
#include "mount/libfuse.h"
#include "mount/open_file.h"
#include "mount/passthrough.h"

namespace swarmfs::mount {

/// The userdata of the session that uses fuse_operations().
struct FuseBridge {
  fs::Tree& tree;
  FuseReads reads;
  std::uint32_t max_read;
  std::atomic<std::uint64_t> next_handle{0};
  OpenFiles files;
  Passthrough passthrough;
  AttributeWatch watch{tree};
  std::function<void()> on_first_open{};  ///< may be empty
  std::once_flag opened{};
  InfoFiles info{};
  DeviceTurn turn{};
};

const fuse_lowlevel_ops& fuse_operations();

}  // namespace swarmfs::mount

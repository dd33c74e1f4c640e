// Passthrough as libfuse itself has it from 3.17 on.
#include "mount/libfuse.h"
#include "mount/passthrough.h"

namespace swarmfs::mount {

void Passthrough::attach(fuse_session* session) { device_ = fuse_session_fd(session); }

void Passthrough::see_request(ByteView) {}

void Passthrough::negotiate(fuse_conn_info* conn) {
  // The depth of the stack stays libfuse's default: ours may still be below an overlay.
  if (device_ < 0) return;
  enabled_ = fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
  // Two fields say what is wanted, and libfuse takes it for an error when they differ.
  conn->want_ext = (conn->want_ext >> 32 << 32) | conn->want;
}

int Passthrough::reply_open(fuse_req* req, fuse_file_info* fi, std::int32_t backing) {
  fi->backing_id = backing;
  fi->noflush = 1;
  return fuse_reply_open(req, fi);
}

}  // namespace swarmfs::mount

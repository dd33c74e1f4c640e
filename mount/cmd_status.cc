// swarmfs status: what mounts hold and do.
#include "mount/ask_mounts.h"
#include "mount/status_text.h"

namespace swarmfs::mount {

void add_status(Command app, Context& context) {
  add_question(app, context, "status", "Show what mounts hold and do", &status_text);
}

}  // namespace swarmfs::mount

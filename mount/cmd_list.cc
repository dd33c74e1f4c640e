// swarmfs list: the torrents of mounts, and manifests that are broken.
#include "mount/ask_mounts.h"
#include "mount/list_text.h"

namespace swarmfs::mount {

void add_list(Command app, Context& context) {
  add_question(app, context, "list", "List the torrents of mounts, and broken manifests",
               &list_text);
}

}  // namespace swarmfs::mount

#include "mount/report.h"

#include <cstdio>
#include <string>

#include "mount/exit_codes.h"

namespace swarmfs::mount {

int report(const Error& error) {
  // Names come from manifests and file systems: nothing in them may drive the terminal.
  std::string line;
  for (const char c : error.message) {
    const auto byte = static_cast<unsigned char>(c);
    line += (byte < 0x20 || byte == 0x7f) ? '?' : c;
  }
  std::fprintf(stderr, "swarmfs: %s\n", line.c_str());
  return exit_code_for(error.kind);
}

}  // namespace swarmfs::mount

// --ip-filter: lists of addresses on disk.
#pragma once

#include <spdlog/logger.h>

#include <string>
#include <vector>

#include "swarm/base/result.h"
#include "swarm/engine/address_filter.h"

namespace swarmfs::mount {

/// What one list may hold once it is unpacked.
inline constexpr std::size_t kMaxFilterText = 256 << 20;

/// One filter of all lists, each plain or packed by gzip. A list with lines that are not understood
/// is taken without them, and the logger warns of the first, by file and line. This takes about a
/// second for two million lines. Errors: not_found, permission, io; bad_input for a list of which
/// nothing is understood, that is packed badly or too long. They name the file.
Result<engine::AddressFilterPtr> load_ip_filters(const std::vector<std::string>& paths,
                                                 spdlog::logger& logger);

}  // namespace swarmfs::mount

// Lists of addresses to block, as people publish them. Pure: text in, ranges out.
//
// Each line is recognised by itself, so a list may mix the forms:
//   192.0.2.0/24    2001:db8::/32    192.0.2.7    192.0.2.1 - 192.0.2.9      plain
//   192.000.002.000 - 192.000.002.255 , 000 , Some name                      eMule's ipfilter.dat
//   Some name:192.0.2.0-192.0.2.255                                          PeerGuardian text
//   (P2P)
// Numbers are decimal, whatever zeros they begin with. A DAT line of a level above 127 blocks
// nothing, as with eMule. Empty lines and what follows '#', ';' or '//' at the start of a line is
// passed over.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "swarm/engine/address_filter.h"

namespace swarmfs::engine {

struct AddressListReport {
  std::size_t good = 0;  ///< lines that were understood, those that block nothing included
  std::size_t bad = 0;   ///< lines that were not
  struct Line {
    std::size_t number = 0;  ///< from 1
    std::string why;
  };
  std::optional<Line> first_bad;
};

/// Adds what the text blocks. Lines that are in no known form are left out, and counted.
AddressListReport parse_address_list(std::string_view text, AddressFilter::Builder& into);

}  // namespace swarmfs::engine

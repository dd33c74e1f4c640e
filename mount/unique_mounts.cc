#include "mount/unique_mounts.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace swarmfs::mount {

namespace {

// statmount(2) and listmount(2), which the headers of Debian 12 do not have yet. The numbers are
// the same on every architecture but alpha.
constexpr long kStatmount = 457;
constexpr long kListmount = 458;
constexpr std::uint64_t kAllOfNamespace = ~std::uint64_t{0};  // LSMT_ROOT
constexpr std::uint64_t kSuperblock = 1, kMount = 2;          // STATMOUNT_SB_BASIC, _MNT_BASIC

struct Question {  // struct mnt_id_req
  std::uint32_t size = sizeof(Question);
  std::uint32_t spare = 0;
  std::uint64_t mount = 0;
  std::uint64_t parameter = 0;  // what to tell, or after which mount to go on
};

struct Answer {  // struct statmount, as far as it is looked at
  std::uint32_t size, options;
  std::uint64_t mask;
  std::uint32_t major, minor;
  std::uint64_t magic;
  std::uint32_t flags, type;
  std::uint64_t unique, parent;
  std::uint32_t id, parent_id;
  std::array<std::uint64_t, 128> rest;
};

}  // namespace

std::vector<UniqueMount> unique_mounts() {
  std::vector<UniqueMount> found;
  std::array<std::uint64_t, 256> ids{};
  Question list{.mount = kAllOfNamespace};
  for (;;) {
    const long n = ::syscall(kListmount, &list, ids.data(), ids.size(), 0);
    if (n <= 0) return found;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      const Question one{.mount = ids[i], .parameter = kSuperblock | kMount};
      Answer answer{};
      if (::syscall(kStatmount, &one, &answer, sizeof answer, 0) == 0)  // else it is gone by now
        found.push_back({answer.unique, answer.id, answer.minor});
    }
    list.parameter = ids[static_cast<std::size_t>(n) - 1];
  }
}

}  // namespace swarmfs::mount

#include "mount/errno_table.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace swarmfs::mount {
namespace {

TEST(ErrnoTable, HasAnErrnoForEveryKindAndTheDocumentedOnes) {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::network); ++kind)
    EXPECT_GT(errno_for(static_cast<ErrorKind>(kind)), 0);
  EXPECT_EQ(errno_for(ErrorKind::timed_out), ETIMEDOUT);
  EXPECT_EQ(errno_for(ErrorKind::cancelled), EINTR);
  EXPECT_EQ(errno_for(ErrorKind::no_space), ENOSPC);
  EXPECT_EQ(errno_for(ErrorKind::mismatch), EIO);
  EXPECT_EQ(errno_for(ErrorKind::network), EIO);
}

}  // namespace
}  // namespace swarmfs::mount

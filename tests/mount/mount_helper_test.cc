#include "mount/mount_helper.h"

#include <gtest/gtest.h>

namespace swarmfs::mount {
namespace {

using Words = std::vector<std::string>;

TEST(MountHelper, KnowsACallOfMountFromACallOfAPerson) {
  EXPECT_TRUE(is_mount_helper_call({"/sbin/mount.fuse.swarmfs", "/x.torrent", "/mnt"}));
  EXPECT_TRUE(is_mount_helper_call({"swarmfs", "/x.torrent", "/mnt", "-o", "rw"}));
  EXPECT_FALSE(is_mount_helper_call({"swarmfs", "publish", "/film", "-o", "out.torrent"}));
  EXPECT_FALSE(is_mount_helper_call({"swarmfs", "get", "/x.torrent", "-o", "/dir"}));
  EXPECT_FALSE(is_mount_helper_call({"swarmfs", "mount", "/x.torrent", "/mnt"}));
  EXPECT_FALSE(is_mount_helper_call({}));
}

TEST(MountHelper, TurnsOptionsIntoFlagsAndDropsGenericOnes) {
  EXPECT_EQ(translate_mount_call(
                {"mount.fuse.swarmfs", "/x.torrent", "/mnt/x", "-o",
                 "ro,allow_other,cache_dir=/var/c,peer=10.0.0.1:1,peer=[::1]:2,"
                 "read_timeout=5,on_demand,no_restart,watchdog=9,limit_up=1M,no_reads_exempt,"
                 "noauto,user,_netdev,nofail,"
                 "x-systemd.automount,noatime"})
                .value(),
            (Words{"swarmfs",
                   "mount",
                   "--allow-other",
                   "--cache-dir",
                   "/var/c",
                   "--peer",
                   "10.0.0.1:1",
                   "--peer",
                   "[::1]:2",
                   "--read-timeout",
                   "5",
                   "--on-demand",
                   "--no-restart",
                   "--watchdog",
                   "9",
                   "--limit-up",
                   "1M",
                   "--no-reads-exempt",
                   "--",
                   "/x.torrent",
                   "/mnt/x"}));
}

TEST(MountHelper, TakesOptionsInAnyPlaceEscapedCommasAndSeveralManifests) {
  EXPECT_EQ(
      translate_mount_call({"mount.swarmfs", "-v", "-o", "cache_dir=/a\\,b", "-t", "fuse.swarmfs",
                            "magnet:?x", "-s", "/m", "-o", "manifest=/y.torrent,rw"})
          .value(),
      (Words{"swarmfs", "-v", "mount", "--cache-dir", "/a,b", "--", "magnet:?x", "/y.torrent",
             "/m"}));
}

TEST(MountHelper, DoesNothingForAFakeMount) {
  EXPECT_TRUE(translate_mount_call({"mount.fuse.swarmfs", "/x", "/m", "-f"}).value().empty());
}

TEST(MountHelper, NamesAnOptionItDoesNotKnowAndAMissingPlace) {
  const auto unknown = translate_mount_call({"mount.fuse.swarmfs", "/x", "/m", "-o", "ro,frob=1"});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("frob=1"), std::string::npos);
  EXPECT_FALSE(translate_mount_call({"mount.fuse.swarmfs", "/x", "/m", "-o", "allow_other=1"}));
  EXPECT_FALSE(translate_mount_call({"mount.fuse.swarmfs", "/x", "/m", "-o", "peer"}));
  EXPECT_FALSE(translate_mount_call({"mount.fuse.swarmfs", "/x"}));
  EXPECT_FALSE(translate_mount_call({"mount.fuse.swarmfs", "/x", "/m", "-o"}));
}

}  // namespace
}  // namespace swarmfs::mount

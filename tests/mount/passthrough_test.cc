// Files that the kernel reads from the disk itself, and the change from one kind of handle to the
// other.
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/utsname.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/support/fake_mount.h"

namespace swarmfs::test {
namespace {

constexpr FileIndex kFile{0};
constexpr std::uint64_t kLength = 3 * (1 << 20) + 123;

/// A mount of one file, and the copy of it on disk that may stand for it.
class PassthroughTest : public testing::Test {
 protected:
  void SetUp() override {
    utsname system{};
    ::uname(&system);
    int major = 0, minor = 0;
    std::sscanf(system.release, "%d.%d", &major, &minor);
    if (major < 6 || (major == 6 && minor < 9)) GTEST_SKIP() << "Linux before 6.9";
    if (::geteuid() != 0) GTEST_SKIP() << "passthrough takes CAP_SYS_ADMIN";
    char name[] = "/var/tmp/swarmfs-backing-XXXXXX";
    backing = Fd(::mkstemp(name));
    ASSERT_TRUE(backing.valid());
    ::unlink(name);
    const std::string bytes = Pattern::text(kFile, 0, kLength);
    ASSERT_EQ(::write(backing.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(kLength));
  }
  int read_all() const { return read_and_compare(path.c_str(), kFile, 0, kLength); }
  std::uint64_t passed() const { return m.session->stats().passed; }
  std::uint64_t reads() const { return m.session->stats().reads; }

  Fd backing;
  FakeMount m{{{"a", kLength}}};
  const std::string path = m.path("a");
};

TEST_F(PassthroughTest, AVerifiedFileIsReadWithoutUs) {
  m.source->set_verified(backing.get());
  m.source->set_bytes_here(kLength);
  m.source->hold(kFile, 0, kLength);  // whoever asked us would wait for ever
  EXPECT_EQ(read_all(), 0);
  const Fd fd(::open(path.c_str(), O_RDONLY));
  void* map = ::mmap(nullptr, kLength, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  EXPECT_EQ(Pattern::text(kFile, 0, kLength),
            std::string_view(static_cast<const char*>(map), kLength));
  ::munmap(map, kLength);
  const Fd out(::memfd_create("out", MFD_CLOEXEC));
  EXPECT_EQ(::sendfile(out.get(), fd.get(), nullptr, kLength), static_cast<ssize_t>(kLength));
  std::string copy(kLength, '\0');
  EXPECT_EQ(::pread(out.get(), copy.data(), kLength, 0), static_cast<ssize_t>(kLength));
  EXPECT_EQ(copy, Pattern::text(kFile, 0, kLength));
  EXPECT_EQ(passed(), 2U);
  EXPECT_EQ(reads(), 0U);
}

TEST_F(PassthroughTest, ASmallFileIsNotWorthIt) {
  FakeMount small({{"a", 100'000}});
  small.source->set_verified(backing.get());
  EXPECT_EQ(read_and_compare(small.path("a").c_str(), kFile, 0, 100'000), 0);
  EXPECT_EQ(small.session->stats().passed, 0U);
}

TEST_F(PassthroughTest, ACompleteFileThatIsNotVerifiedIsVerifiedLaterAndAnIncompleteOneIsNot) {
  m.source->set_bytes_here(kLength - 1);
  EXPECT_EQ(read_all(), 0);
  EXPECT_EQ(m.source->verified_later(), 0U);
  m.source->set_bytes_here(kLength);
  // The kernel releases a handle some time after close(), and asks nothing while one is open.
  for (int i = 0; i < 500 && m.source->verified_later() == 0; ++i) {
    EXPECT_EQ(read_all(), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_GT(m.source->verified_later(), 0U);
}

TEST_F(PassthroughTest, AFileThatIsNotVerifiedGoesThroughThePageCache) {
  EXPECT_EQ(read_all(), 0);
  EXPECT_EQ(passed(), 0U);
  EXPECT_GT(reads(), 0U);
}

TEST_F(PassthroughTest, HandlesOfOneFileStayOfOneKindUntilTheLastIsClosed) {
  {
    const Fd cached(::open(path.c_str(), O_RDONLY));
    m.source->set_verified(backing.get());
    EXPECT_EQ(read_all(), 0);  // another handle beside it
    EXPECT_EQ(passed(), 0U);
  }
  // The kernel releases a handle some time after close().
  for (int i = 0; i < 500 && passed() == 0; ++i) {
    EXPECT_EQ(read_all(), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_GT(passed(), 0U);
  {
    const Fd direct(::open(path.c_str(), O_RDONLY));
    const auto before = passed();
    m.source->set_verified(-1);
    EXPECT_EQ(read_all(), 0);
    EXPECT_EQ(passed(), before + 1);
  }
  const auto before = reads();
  for (int i = 0; i < 500 && reads() == before; ++i) {
    EXPECT_EQ(read_all(), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_GT(reads(), before);
}

TEST_F(PassthroughTest, AMappingKeepsItsKindAfterItsDescriptorIsClosed) {
  Fd fd(::open(path.c_str(), O_RDONLY));
  void* map = ::mmap(nullptr, kLength, PROT_READ, MAP_SHARED, fd.get(), 0);
  fd = Fd();
  m.source->set_verified(backing.get());
  EXPECT_EQ(read_all(), 0);
  EXPECT_EQ(passed(), 0U);  // the mapping is a handle of the other kind
  EXPECT_EQ(std::string_view(static_cast<const char*>(map), kLength),
            Pattern::text(kFile, 0, kLength));
  ::munmap(map, kLength);
}

TEST_F(PassthroughTest, WhatCannotBeABackingIsReadThroughUs) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd in(ends[0]), out(ends[1]);
  m.source->set_verified(in.get());
  EXPECT_EQ(read_all(), 0);
  EXPECT_EQ(passed(), 0U);
}

TEST_F(PassthroughTest, ManyOpenAndCloseWhileItBecomesVerified) {
  std::vector<std::unique_ptr<Child>> readers;
  for (int i = 0; i < 6; ++i) {
    readers.push_back(std::make_unique<Child>([&] {
      for (int n = 0; n < 60; ++n)
        if (const int error = read_and_compare(path.c_str(), kFile, 0, 200'000)) return error;
      return 0;
    }));
  }
  for (int n = 0; n < 40; ++n) {
    m.source->set_verified(n % 2 == 0 ? backing.get() : -1);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  for (auto& reader : readers) EXPECT_EQ(reader->exit_code(std::chrono::seconds(30)), 0);
}

}  // namespace
}  // namespace swarmfs::test

#include "mount/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <string>

#include "swarm/base/fd.h"
#include "tests/support/temp_folder.h"

namespace swarmfs::mount {
namespace {

using namespace std::chrono_literals;

/// A manager's end; '@' as the first letter is the abstract namespace.
class Socket {
 public:
  explicit Socket(std::string name) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  }
  std::string received() const {
    char buffer[512];
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    return n < 0 ? "" : std::string(buffer, static_cast<std::size_t>(n));
  }

 private:
  Fd fd_;
};

TEST(ServiceManager, TellsASocketByPathAndOneInTheAbstractNamespace) {
  const test::TempFolder folder;
  for (const std::string& name :
       {(folder.path() / "notify").string(), "@swarmfs-test-" + std::to_string(::getpid())}) {
    const Socket socket(name);
    const ServiceManager manager(name.c_str(), nullptr, nullptr, 1);
    EXPECT_TRUE(manager.present());
    EXPECT_FALSE(manager.watchdog());
    manager.tell("READY=1\nMAINPID=7");
    EXPECT_EQ(socket.received(), "READY=1\nMAINPID=7");
  }
}

TEST(ServiceManager, AStatusIsOneLineWhateverIsInIt) {
  const test::TempFolder folder;
  const std::string name = (folder.path() / "notify").string();
  const Socket socket(name);
  ServiceManager(name.c_str(), nullptr, nullptr, 1).tell_status("50 %\nMAINPID=1\x1b[2J");
  EXPECT_EQ(socket.received(), "STATUS=50 %?MAINPID=1?[2J");
}

TEST(ServiceManager, WithoutAUsableSocketItTellsNobody) {
  const std::string too_long = "/" + std::string(200, 'x');
  for (const char* name : {static_cast<const char*>(nullptr), "", "/", "relative", too_long.c_str(),
                           "/nobody/listens/here"}) {
    const ServiceManager manager(name, "5000000", nullptr, 1);
    manager.tell("READY=1");
    EXPECT_EQ(manager.present(), name != nullptr && std::string(name) == "/nobody/listens/here");
  }
}

TEST(ServiceManager, KnowsAWatchdogThatIsMeantForThisProcess) {
  const auto watchdog = [](const char* usec, const char* pid) {
    return ServiceManager("/run/notify", usec, pid, 42).watchdog();
  };
  EXPECT_EQ(watchdog("5000000", nullptr), Duration(5s));
  EXPECT_EQ(watchdog("5000000", "42"), Duration(5s));
  EXPECT_FALSE(watchdog("5000000", "41"));
  EXPECT_FALSE(watchdog("5000000", "x"));
  EXPECT_FALSE(watchdog(nullptr, "42"));
  for (const char* bad : {"", "0", "-1", "5s", "99999999999999999999", "18446744073709551615"})
    EXPECT_FALSE(watchdog(bad, nullptr)) << bad;
}

TEST(ServiceManager, TakesItsVariablesOutOfTheEnvironment) {
  ::setenv("NOTIFY_SOCKET", "/run/notify", 1);
  ::setenv("WATCHDOG_USEC", "1000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const auto manager = ServiceManager::from_environment();
  EXPECT_TRUE(manager.present());
  EXPECT_EQ(manager.watchdog(), Duration(1ms));
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    EXPECT_EQ(std::getenv(name), nullptr);
}

}  // namespace
}  // namespace swarmfs::mount

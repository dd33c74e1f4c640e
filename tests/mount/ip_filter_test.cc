#include "mount/ip_filter.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <zlib.h>

#include <fstream>
#include <sstream>

#include "tests/support/temp_folder.h"

namespace swarmfs::mount {
namespace {

class IpFilter : public testing::Test {
 protected:
  std::string write(const char* name, std::string_view text) {
    const std::string path = folder_ / name;
    std::ofstream(path) << text;
    return path;
  }
  std::string pack(const char* name, const std::string& text) {
    const std::string path = folder_ / name;
    const gzFile file = ::gzopen(path.c_str(), "wb");
    EXPECT_EQ(::gzwrite(file, text.data(), static_cast<unsigned>(text.size())),
              static_cast<int>(text.size()));
    ::gzclose(file);
    return path;
  }
  auto load(const std::vector<std::string>& paths) { return load_ip_filters(paths, logger_); }
  static bool blocks(const Result<engine::AddressFilterPtr>& filter, const char* address) {
    return filter && engine::blocked_by(*filter, *IpAddress::parse(address));
  }

  const test::TempFolder test_;
  const std::filesystem::path folder_ = test_.path();
  std::ostringstream log_;
  spdlog::logger logger_{"test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_)};
};

TEST_F(IpFilter, JoinsListsPackedAndPlain) {
  const auto filter =
      load({write("plain", "192.0.2.0/24\n"), pack("packed", "Name:198.51.100.1-198.51.100.2\n")});
  ASSERT_TRUE(filter) << filter.error().message;
  EXPECT_TRUE(blocks(filter, "192.0.2.9"));
  EXPECT_TRUE(blocks(filter, "198.51.100.2"));
  EXPECT_FALSE(blocks(filter, "198.51.100.3"));
  EXPECT_EQ(log_.str().find("left out"), std::string::npos) << log_.str();
}

TEST_F(IpFilter, WarnsOfBadLinesByFileAndNumber) {
  const std::string path = write("some", "192.0.2.1\nnonsense\n192.0.2.2\nmore\n");
  EXPECT_TRUE(blocks(load({path}), "192.0.2.2"));
  EXPECT_NE(
      log_.str().find(path + ": line 2: \"nonsense\" is no range of addresses; it and 1 more"),
      std::string::npos)
      << log_.str();
}

TEST_F(IpFilter, RefusesWhatIsNoList) {
  const std::string path = write("page", "<html>\n");
  const auto page = load({path});
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().kind, ErrorKind::bad_input);
  EXPECT_NE(page.error().message.find(path + ": line 1: \"<html>\""), std::string::npos);
  EXPECT_TRUE(load({write("empty", "")})) << "which blocks nobody";
  EXPECT_EQ(load({folder_ / "missing"}).error().kind, ErrorKind::not_found);
  EXPECT_EQ(load({folder_}).error().kind, ErrorKind::bad_input);
}

TEST_F(IpFilter, RefusesAListThatWasCutOff) {
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += "10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".0/24\n";
  const std::string path = pack("cut", text);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const auto cut = load({path});
  ASSERT_FALSE(cut);
  EXPECT_NE(cut.error().message.find("cannot be unpacked"), std::string::npos)
      << cut.error().message;
}

}  // namespace
}  // namespace swarmfs::mount

#include "swarm/wire/url.h"

#include <gtest/gtest.h>

namespace swarmfs::wire {
namespace {

TEST(Url, SplitsIntoParts) {
  const auto url = Url::parse("HTTP://Tracker.Example:8080/abc/announce?x=1#top");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "http");
  EXPECT_EQ(url->host, "tracker.example");
  EXPECT_EQ(url->port, 8080);
  EXPECT_EQ(url->target, "/abc/announce?x=1");
  EXPECT_EQ(url->authority(), "tracker.example:8080");
}

TEST(Url, KnowsTheDefaultPortsAndBracketsV6) {
  EXPECT_EQ(Url::parse("https://a")->port, 443);
  EXPECT_EQ(Url::parse("https://a")->authority(), "a");
  EXPECT_EQ(Url::parse("http://a?q")->target, "/?q");
  const auto six = Url::parse("udp://[2001:DB8::1]:6969/announce");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->host, "2001:db8::1");
  EXPECT_EQ(six->authority(), "[2001:db8::1]:6969");
}

TEST(Url, RefusesWhatItCannotMean) {
  for (const char* text :
       {"", "nothing", "ftp://a/", "wss://a/", "file:///etc/passwd", "http:///x", "http://a:0/",
        "http://a:70000/", "http://a:8x/", "http://[::1/", "http://[zz]/", "http://[::1]x/",
        "udp://a/announce", "http://user:pw@host/", "http://a b/", "http://a%00/"}) {
    EXPECT_FALSE(Url::parse(text)) << text;
  }
  EXPECT_FALSE(Url::parse("http://a/" + std::string(9000, 'x')));
}

TEST(Url, NeverLetsATargetBreakOutOfTheRequestLine) {
  const auto url = Url::parse("http://a/x y\r\nHost: evil\xc3\xa9%41");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->target, "/x%20y%0D%0AHost:%20evil%C3%A9%41");
}

TEST(Url, ErrorsAndRedactionKeepThePasskeyOut) {
  EXPECT_EQ(Url::parse("https://t.example/PASSKEY/announce?key=PASSKEY")->redacted(),
            "https://t.example");
  for (const char* text : {"http://u:PASSKEY@h/", "gopher://h/PASSKEY", "http://h:x/PASSKEY"})
    EXPECT_EQ(Url::parse(text).error().message.find("PASSKEY"), std::string::npos) << text;
}

TEST(Url, ResolvesRedirects) {
  const Url base = *Url::parse("https://a.example/dir/announce?pk=1");
  EXPECT_EQ(base.resolve("http://b/x")->to_string(), "http://b/x");
  EXPECT_EQ(base.resolve("//b/x")->to_string(), "https://b/x");
  EXPECT_EQ(base.resolve("/x?y")->to_string(), "https://a.example/x?y");
  EXPECT_EQ(base.resolve("x?u=http://c/")->to_string(), "https://a.example/dir/x?u=http://c/");
  EXPECT_EQ(base.resolve("?z")->to_string(), "https://a.example/dir/announce?z");
  EXPECT_FALSE(base.resolve("file:///etc/passwd"));
}

TEST(Percent, RoundTripsEveryByte) {
  Bytes all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(percent_decode(percent_encode(all)), as_text(all));
  EXPECT_EQ(percent_encode(as_bytes("a-Z_0.~ /+%")), "a-Z_0.~%20%2F%2B%25");
  EXPECT_EQ(percent_decode("%4"), "%4");
  EXPECT_EQ(percent_decode("100%+%zz"), "100%+%zz");
}

}  // namespace
}  // namespace swarmfs::wire

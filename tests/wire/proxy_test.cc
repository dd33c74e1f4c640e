// What is said to proxies: the bytes of RFC 1928 and RFC 1929 and of CONNECT, every refusal,
// answers that come byte by byte, and answers that are wrong.
#include "swarm/wire/proxy.h"

#include <gtest/gtest.h>

#include <random>

#include "swarm/base/hex.h"

namespace swarmfs::wire {
namespace {

using Command = ProxyDialogue::Command;

ProxyUrl socks(std::string user = {}, std::string password = {}) {
  return {ProxyUrl::Kind::socks5, "192.0.2.1", 1080, std::move(user), std::move(password)};
}
ProxyUrl http(std::string user = {}, std::string password = {}) {
  return {ProxyUrl::Kind::http, "192.0.2.1", 8080, std::move(user), std::move(password)};
}

std::string hex_of(const Bytes& bytes) { return to_hex(bytes); }
Bytes from(std::string_view hex) { return *from_hex(hex); }
Bytes text(std::string_view words) { return {words.begin(), words.end()}; }

/// Feeds all, no more at a time than is wanted or than `step`; how much was taken.
Result<std::size_t> feed(ProxyDialogue& dialogue, ByteView bytes, std::size_t step = 1) {
  std::size_t at = 0;
  while (at < bytes.size() && !dialogue.done()) {
    const std::size_t n = std::min({step, dialogue.wanted(), bytes.size() - at});
    EXPECT_GT(n, 0U);
    const auto fed = dialogue.feed(bytes.subspan(at, n));
    if (!fed) return fed.error();
    at += n;
  }
  return at;
}

TEST(ProxyUrl, IsParsed) {
  const auto url = ProxyUrl::parse("socks5h://me:p%40ss%3A@Proxy.Example.org:1080/");
  ASSERT_TRUE(url);
  EXPECT_EQ(*url, (ProxyUrl{ProxyUrl::Kind::socks5, "proxy.example.org", 1080, "me", "p@ss:"}));
  EXPECT_EQ(url->redacted(), "socks5://proxy.example.org:1080");
  const auto v6 = ProxyUrl::parse("http://[2001:db8::1]:3128");
  ASSERT_TRUE(v6);
  EXPECT_EQ(*v6, (ProxyUrl{ProxyUrl::Kind::http, "2001:db8::1", 3128, "", ""}));
  EXPECT_EQ(v6->redacted(), "http://[2001:db8::1]:3128");
}

TEST(ProxyUrl, WhatIsNoneIsRefusedWithoutBeingRepeated) {
  for (const std::string_view bad :
       {"", "socks5://", "192.0.2.1:1080", "socks5://192.0.2.1", "socks5://192.0.2.1:0",
        "socks5://192.0.2.1:65536", "socks5://192.0.2.1:80x", "socks5://:1080",
        "socks5://2001:db8::1:1080", "socks5://[192.0.2.1]:1080", "socks5://:secret@h:1",
        "socks4://192.0.2.1:1080", "https://192.0.2.1:80", "socks5://ho st:1080",
        "socks5://u:secret@ho\r\nst:1080", "socks5://u:secret@host", "http://h:1/path"}) {
    const auto url = ProxyUrl::parse(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_EQ(url.error().message.find("secret"), std::string::npos);
  }
  const std::string longest(256, 'u');
  EXPECT_FALSE(ProxyUrl::parse("socks5://" + longest + ":p@h:1"));
  EXPECT_FALSE(ProxyUrl::parse("socks5://u:" + longest + "@h:1"));
  EXPECT_TRUE(ProxyUrl::parse("socks5://" + longest.substr(1) + ":p@h:1"));
}

TEST(Socks, ConnectsByAddress) {
  ProxyDialogue dialogue(socks(), Command::connect, {"198.51.100.7", 6881});
  EXPECT_EQ(hex_of(dialogue.take_output()), "050100");
  EXPECT_EQ(dialogue.take_output(), Bytes{});
  ASSERT_TRUE(feed(dialogue, from("0500")));
  EXPECT_EQ(hex_of(dialogue.take_output()),
            "05010001c6336407"
            "1ae1");
  // What follows the answer is not the proxy's any more.
  const auto taken = feed(dialogue, from("05000001c0000201"
                                         "d431"
                                         "1342"));
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, 10U);
  EXPECT_TRUE(dialogue.done());
  EXPECT_EQ(dialogue.wanted(), 0U);
  EXPECT_EQ(dialogue.bound()->to_string(), "192.0.2.1:54321");
}

TEST(Socks, ConnectsByNameAndByIPv6) {
  ProxyDialogue named(socks(), Command::connect, {"a.example", 80});
  ASSERT_TRUE(feed(named, from("0500"), 100));
  EXPECT_EQ(hex_of(named.take_output()),
            "050100"
            "0309612e6578616d706c65"
            "0050");
  // A name may be what it bound, too, of any length.
  ASSERT_TRUE(feed(named,
                   from("05000003"
                        "00"
                        "0050"),
                   100));
  EXPECT_TRUE(named.done());
  EXPECT_FALSE(named.bound());

  ProxyDialogue six(socks(), Command::connect, {"2001:db8::1", 80});
  ASSERT_TRUE(feed(six, from("0500"), 100));
  EXPECT_EQ(hex_of(six.take_output()),
            "050100"
            "0420010db8000000000000000000000001"
            "0050");
  ASSERT_TRUE(feed(six, from("0500000420010db80000000000000000000000020051"), 100));
  EXPECT_EQ(six.bound()->to_string(), "[2001:db8::2]:81");
}

TEST(Socks, LogsInWithUserAndPassword) {
  ProxyDialogue dialogue(socks("me", "secret"), Command::udp_associate, {"", 0});
  EXPECT_EQ(hex_of(dialogue.take_output()), "050102");
  ASSERT_TRUE(feed(dialogue, from("0502")));
  EXPECT_EQ(hex_of(dialogue.take_output()), "01026d6506736563726574");
  ASSERT_TRUE(feed(dialogue, from("0100")));
  EXPECT_EQ(hex_of(dialogue.take_output()), "05030001000000000000");
  ASSERT_TRUE(feed(dialogue, from("05000001000000001f90")));
  EXPECT_EQ(dialogue.bound()->port, 8080);
}

TEST(Socks, EveryRefusalIsSaid) {
  const std::pair<int, ErrorKind> codes[] = {
      {1, ErrorKind::network},     {2, ErrorKind::permission},  {3, ErrorKind::network},
      {4, ErrorKind::network},     {5, ErrorKind::network},     {6, ErrorKind::network},
      {7, ErrorKind::unsupported}, {8, ErrorKind::unsupported}, {9, ErrorKind::protocol},
      {255, ErrorKind::protocol}};
  for (const auto& [code, kind] : codes) {
    ProxyDialogue dialogue(socks(), Command::connect, {"198.51.100.7", 1});
    ASSERT_TRUE(feed(dialogue, from("0500")));
    Bytes answer = from("05000001000000000000");
    answer[1] = static_cast<std::uint8_t>(code);
    const auto fed = feed(dialogue, answer);
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().kind, kind) << fed.error().message;
  }
}

TEST(Socks, LoggingInFails) {
  ProxyDialogue wanted(socks(), Command::connect, {"198.51.100.7", 1});
  EXPECT_EQ(feed(wanted, from("05ff")).error().kind, ErrorKind::permission);
  ProxyDialogue unknown(socks("me", "x"), Command::connect, {"198.51.100.7", 1});
  EXPECT_EQ(feed(unknown, from("05ff")).error().kind, ErrorKind::permission);
  ProxyDialogue wrong(socks("me", "x"), Command::connect, {"198.51.100.7", 1});
  ASSERT_TRUE(feed(wrong, from("0502")));
  EXPECT_EQ(feed(wrong, from("0101")).error().kind, ErrorKind::permission);
}

TEST(Socks, WhatWasNotOfferedIsNotAccepted) {
  // No login where one was to be used: whoever answers may be another than the user means.
  ProxyDialogue open(socks("me", "x"), Command::connect, {"198.51.100.7", 1});
  EXPECT_EQ(feed(open, from("0500")).error().kind, ErrorKind::protocol);
  ProxyDialogue other(socks(), Command::connect, {"198.51.100.7", 1});
  EXPECT_EQ(feed(other, from("0502")).error().kind, ErrorKind::protocol);
  ProxyDialogue web(socks(), Command::connect, {"198.51.100.7", 1});
  EXPECT_EQ(feed(web, text("HT")).error().kind, ErrorKind::protocol);
  ProxyDialogue kind(socks(), Command::connect, {"198.51.100.7", 1});
  ASSERT_TRUE(feed(kind, from("0500")));
  EXPECT_EQ(feed(kind, from("0500000200")).error().kind, ErrorKind::protocol);
}

TEST(Connect, AsksAndLogsIn) {
  ProxyDialogue dialogue(http("Aladdin", "open sesame"), Command::connect, {"2001:db8::1", 443});
  const Bytes words = dialogue.take_output();
  EXPECT_EQ(std::string(words.begin(), words.end()),
            "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
            "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");  // RFC 7617 2
  const std::string_view head = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
  const auto taken = feed(dialogue,
                          text(std::string(head) + "\x13"
                                                   "BitTorrent"),
                          1000);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, head.size());
  EXPECT_TRUE(dialogue.done());
}

TEST(Connect, TheEndOfTheHeadIsFoundWhereverItIsCut) {
  for (const std::string_view head :
       {"HTTP/1.0 200\r\n\r\n", "HTTP/1.1 200 OK\r\nA: \r\r\n\r\n", "HTTP/1.1 299 \n\n\r\n\r\n"})
    for (std::size_t step = 1; step < 6; ++step) {
      ProxyDialogue dialogue(http(), Command::connect, {"a", 1});
      const auto taken = feed(dialogue, text(std::string(head) + "more"), step);
      ASSERT_TRUE(taken) << head;
      EXPECT_EQ(*taken, head.size()) << head << step;
    }
}

TEST(Connect, RefusalsAreSaid) {
  const auto answer = [](std::string_view head, const ProxyUrl& url) {
    ProxyDialogue dialogue(url, Command::connect, {"a", 1});
    return feed(dialogue, text(head), 100).error().kind;
  };
  EXPECT_EQ(answer("HTTP/1.1 407 Who\r\n\r\n", http()), ErrorKind::permission);
  EXPECT_EQ(answer("HTTP/1.1 407 Who\r\n\r\n", http("me", "x")), ErrorKind::permission);
  EXPECT_EQ(answer("HTTP/1.1 403 No\r\n\r\n", http()), ErrorKind::permission);
  EXPECT_EQ(answer("HTTP/1.1 502 Gone\r\n\r\n", http()), ErrorKind::network);
  EXPECT_EQ(answer("HTTP/1.1 301 There\r\n\r\n", http()), ErrorKind::network);
  EXPECT_EQ(answer("HTTP/1.1 \r\n\r\n", http()), ErrorKind::network);
  EXPECT_EQ(answer("HTTP/1.\r\n\r\n", http()), ErrorKind::network);
  EXPECT_EQ(answer("SSH-2.0-x\r\n", http()), ErrorKind::protocol);
  EXPECT_EQ(answer("HTTP/1.1 200 " + std::string(100'000, 'x'), http()), ErrorKind::protocol);
}

TEST(SocksDatagrams, AreWrappedAndUnwrapped) {
  EXPECT_EQ(hex_of(socks_udp_header({"198.51.100.7", 6881})), "00000001c63364071ae1");
  EXPECT_EQ(hex_of(socks_udp_header({"a.example", 80})), "0000000309612e6578616d706c650050");
  const auto got =
      decode_socks_udp(from("00000001c63364071ae1"
                            "ffee"));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->from.to_string(), "198.51.100.7:6881");
  EXPECT_EQ(got->header, 10U);
  const auto six = decode_socks_udp(from("0000000420010db80000000000000000000000010050"));
  ASSERT_TRUE(six);
  EXPECT_EQ(six->from.to_string(), "[2001:db8::1]:80");
  EXPECT_EQ(six->header, 22U);
  for (const std::string_view bad :
       {"", "0000", "000000", "00000001", "00000001c63364071a",
        "0000000420010db8000000000000000000000001", "00000101c63364071ae1",
        "0000000309612e6578616d706c650050", "00000005c63364071ae1"})
    EXPECT_FALSE(decode_socks_udp(from(bad))) << bad;
}

/// Whatever is answered: no read beyond what is wanted, an end in bounded time, no crash.
TEST(ProxyDialogue, SurvivesNoise) {
  std::mt19937 random(7);
  const Bytes seeds[] = {from("050005000001c0000201d431"), from("0502010005000003ff"),
                         text("HTTP/1.1 200 OK\r\n\r\n")};
  for (int round = 0; round < 20'000; ++round) {
    const Bytes& seed = seeds[static_cast<std::size_t>(round) % 3];
    Bytes bytes = seed;
    for (std::size_t i = 0; i < 300; ++i) bytes.push_back(static_cast<std::uint8_t>(random()));
    for (unsigned n = random() % 4; n > 0; --n)
      bytes[random() % seed.size()] = static_cast<std::uint8_t>(random());
    const ProxyUrl url = round % 3 == 2 ? http() : round % 3 == 1 ? socks("u", "p") : socks();
    ProxyDialogue dialogue(url, Command::connect, {"198.51.100.7", 1});
    const auto taken = feed(dialogue, bytes, 1 + random() % 8);
    if (taken && dialogue.done()) {
      EXPECT_EQ(dialogue.wanted(), 0U);
      EXPECT_LE(*taken, seed.size() + 300);
    }
    (void)decode_socks_udp(ByteView(bytes).subspan(random() % 8));
  }
}

}  // namespace
}  // namespace swarmfs::wire

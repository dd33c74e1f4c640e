// TLS: what must be refused is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "swarm/wire/tracker_http.h"
#include "tests/net/net_fixture.h"
#include "tests/net/test_server.h"

namespace swarmfs::net::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// A self-signed certificate for `names` (subjectAltName syntax), key and certificate in PEM.
std::string make_certificate(const std::string& names) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> cert(X509_new(), X509_free);
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 3600);
  X509_set_pubkey(cert.get(), key.get());
  const unsigned char common[] = "test";
  X509_NAME* name = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0);
  X509_set_issuer_name(cert.get(), name);
  X509_EXTENSION* extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  X509_add_ext(cert.get(), extension, -1);
  X509_EXTENSION_free(extension);
  X509_sign(cert.get(), key.get(), EVP_sha256());
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_X509(out.get(), cert.get());
  BUF_MEM* memory = nullptr;
  BIO_get_mem_ptr(out.get(), &memory);
  return {memory->data, memory->length};
}

std::shared_ptr<asio::ssl::context> server_context(const std::string& pem) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  context->use_certificate(asio::buffer(pem), asio::ssl::context::pem);
  context->use_private_key(asio::buffer(pem), asio::ssl::context::pem);
  return context;
}

class HttpsTest : public NetTest {
 protected:
  void SetUp() override {
    ca_file = std::filesystem::temp_directory_path() /
              ("swarmfs-ca-" + std::to_string(::getpid()) + ".pem");
    pem = make_certificate("DNS:tracker.local,IP:127.0.0.1");
    std::ofstream(ca_file) << pem.substr(pem.find("-----BEGIN CERTIFICATE"));
  }
  void TearDown() override { std::filesystem::remove(ca_file); }

  Result<TrackerClient::Answer> ask(const std::string& host, bool with_ca) {
    TestServer server(
        loop, "127.0.0.1",
        [](const std::string&) {
          return Said{http_answer(std::string(as_text(wire::encode_announce_response({}))))};
        },
        server_context(pem));
    TrackerClient::Options options;
    options.timeout = 5s;
    if (with_ca) options.http.ca_file = ca_file;
    for (const char* name : {"tracker.local", "other.local"})
      options.http.hosts[name] = {*IpAddress::parse("127.0.0.1")};
    TrackerClient client(loop.get_executor(), Route::plain(), options, logger);
    auto answer =
        announce(client, "https://" + host + ":" + std::to_string(server.port()) + "/announce");
    server.close();
    return answer;
  }

  std::filesystem::path ca_file;
  std::string pem;
};

TEST_F(HttpsTest, ASelfSignedCertificateIsRefused) {
  const auto answer = ask("tracker.local", false);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("does not verify"));
}

TEST_F(HttpsTest, ACertificateOfAGivenAuthorityIsAcceptedByNameAndAddress) {
  EXPECT_TRUE(ask("tracker.local", true));
  EXPECT_TRUE(ask("127.0.0.1", true));
}

TEST_F(HttpsTest, ACertificateForAnotherNameIsRefused) {
  const auto answer = ask("other.local", true);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("does not verify"));
}

TEST_F(HttpsTest, ARedirectDoesNotGiveUpEncryption) {
  const auto tls = server_context(pem);
  TestServer server(
      loop, "127.0.0.1",
      [](const std::string&) {
        return Said{http_answer("", "302 Found", "Location: http://127.0.0.1:1/a\r\n")};
      },
      tls);
  TrackerClient::Options options;
  options.http.ca_file = ca_file;
  TrackerClient client(loop.get_executor(), Route::plain(), options, logger);
  const auto answer = announce(client, "https://" + server.authority() + "/announce");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("from https to http"));
  server.close();
}

TEST_F(HttpsTest, AMissingAuthorityFileIsNamed) {
  ca_file = "/nonexistent/ca.pem";
  const auto answer = ask("tracker.local", true);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("/nonexistent/ca.pem"));
}

}  // namespace
}  // namespace swarmfs::net::test

#include "http/tls.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace spillway::http {
namespace {

TEST(Tls, the_systems_authorities_are_enough) {
  const auto context = make_client_context("");
  ASSERT_TRUE(context.ok()) << context.error().message;
  EXPECT_EQ(SSL_CTX_get_min_proto_version((*context)->native_handle()), TLS1_2_VERSION);
}

TEST(Tls, a_file_of_authorities_that_is_missing_is_named) {
  const auto context = make_client_context("/nowhere/ca.pem");
  ASSERT_FALSE(context.ok());
  EXPECT_EQ(context.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(context.error().message.find("/nowhere/ca.pem"), std::string::npos);
  EXPECT_FALSE(context.error().hint.empty());
}

TEST(Tls, a_file_that_holds_no_certificates_is_refused) {
  const auto path = std::filesystem::temp_directory_path() / ("spillway-tls-test-" + std::to_string(::getpid()));
  for (const std::string content :
       {"", "not a certificate\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    std::ofstream(path) << content;
    const auto context = make_client_context(path);
    EXPECT_FALSE(context.ok()) << content;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace spillway::http

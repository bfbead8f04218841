#include "http/url.h"

#include <gtest/gtest.h>

namespace spillway::http {
namespace {

TEST(Url, scheme_host_port_and_path_are_taken_apart) {
  const Url plain = *parse_url("http://example.com");
  EXPECT_EQ(plain, (Url{false, "example.com", 80, ""}));
  const Url tls = *parse_url("https://api.deepseek.com/v1/");
  EXPECT_EQ(tls, (Url{true, "api.deepseek.com", 443, "/v1"}));
  EXPECT_EQ(*parse_url("http://127.0.0.1:8081/a/b"), (Url{false, "127.0.0.1", 8081, "/a/b"}));
  EXPECT_EQ(*parse_url("https://[::1]:8443/x"), (Url{true, "::1", 8443, "/x"}));
  EXPECT_EQ(*parse_url("http://[::1]"), (Url{false, "::1", 80, ""}));
}

TEST(Url, trailing_slashes_of_the_path_are_left_out) {
  EXPECT_EQ(parse_url("http://a/")->path, "");
  EXPECT_EQ(parse_url("http://a///")->path, "");
  EXPECT_EQ(parse_url("http://a/v1//")->path, "/v1");
}

TEST(Url, authority_names_the_port_only_where_it_is_not_the_schemes_own) {
  EXPECT_EQ(parse_url("http://a:80")->authority(), "a");
  EXPECT_EQ(parse_url("https://a:443")->authority(), "a");
  EXPECT_EQ(parse_url("http://a:443")->authority(), "a:443");
  EXPECT_EQ(parse_url("https://[::1]:8443")->authority(), "[::1]:8443");
}

TEST(Url, an_empty_port_is_the_schemes_own) { EXPECT_EQ(parse_url("https://a:/v1")->port, 443); }

TEST(Url, the_edges_of_ports_hold) {
  EXPECT_EQ(parse_url("http://a:1")->port, 1);
  EXPECT_EQ(parse_url("http://a:65535")->port, 65535);
  EXPECT_FALSE(parse_url("http://a:0").ok());
  EXPECT_FALSE(parse_url("http://a:65536").ok());
  EXPECT_FALSE(parse_url("http://a:99999999999999999999").ok());
}

TEST(Url, what_is_no_address_of_a_backend_is_refused_with_its_text_and_a_mend) {
  for (const std::string text : {"",
                                 "a",
                                 "example.com",
                                 "ftp://a",
                                 "http:/a",
                                 "http://",
                                 "https:///v1",
                                 "http://:80",
                                 "http://user@a",
                                 "http://u:p@a",
                                 "http://a?x=1",
                                 "http://a/v1?x",
                                 "http://a#f",
                                 "http://a b",
                                 "http://a/b c",
                                 "http://a\n",
                                 "http://a\r\nX: y",
                                 "http://a:x",
                                 "http://a:-1",
                                 "http://a:+1",
                                 "http://a:8 0",
                                 "http://[::1",
                                 "http://[::1]x",
                                 "http://[]",
                                 "http://::1",
                                 "HTTP//a"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(url.error().message.find(text), std::string::npos);
    EXPECT_FALSE(url.error().hint.empty());
  }
}

}  // namespace
}  // namespace spillway::http

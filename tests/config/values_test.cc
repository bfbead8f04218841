#include "config/values.h"

#include <gtest/gtest.h>

#include "config/config.h"

namespace spillway::config {
namespace {

TEST(Duration, is_a_whole_number_and_a_unit) {
  EXPECT_EQ(parse_duration("0s"), milliseconds(0));
  EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_duration("3s"), milliseconds(3'000));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("87600h"), milliseconds(87'600LL * 3'600'000));
}

TEST(Duration, everything_else_is_none) {
  for (const char* text : {"", "5", "s", "-1s", "+1s", "1.5s", " 1s", "1s ", "1 s", "1S", "1d", "1mss", "87601h",
                           "18446744073709551616ms", "0x1s"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(Duration, is_printed_in_the_largest_unit_that_takes_it_whole) {
  EXPECT_EQ(print_duration(milliseconds(0)), "0s");
  EXPECT_EQ(print_duration(milliseconds(250)), "250ms");
  EXPECT_EQ(print_duration(milliseconds(90'000)), "90s");
  EXPECT_EQ(print_duration(milliseconds(600'000)), "10m");
  EXPECT_EQ(print_duration(milliseconds(7'200'000)), "2h");
}

TEST(Size, knows_powers_of_1024_and_of_1000) {
  EXPECT_EQ(parse_size("0B"), 0u);
  EXPECT_EQ(parse_size("100B"), 100u);
  EXPECT_EQ(parse_size("64KiB"), 65'536u);
  EXPECT_EQ(parse_size("8MiB"), 8u << 20);
  EXPECT_EQ(parse_size("1GiB"), 1u << 30);
  EXPECT_EQ(parse_size("5kB"), 5'000u);
  EXPECT_EQ(parse_size("10MB"), 10'000'000u);
  EXPECT_EQ(parse_size("2GB"), 2'000'000'000u);
}

TEST(Size, everything_else_is_none) {
  for (const char* text :
       {"", "8", "MiB", "-1B", "1.5MiB", "8 MiB", "8mib", "8TB", "99999999999GiB", "18446744073709551615GB"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(Size, what_is_printed_reads_back_alike) {
  for (const std::uint64_t bytes :
       {0ull, 1ull, 1000ull, 1024ull, 1536ull, 32ull << 20, (32ull << 20) + 1, 1ull << 40}) {
    EXPECT_EQ(parse_size(print_size(bytes)), bytes) << print_size(bytes);
  }
}

TEST(Rate, is_a_number_per_second_minute_or_hour) {
  for (const char* text : {"60/m", "1/s", "1000/h"}) EXPECT_TRUE(parse_rate(text)) << text;
  for (const char* text : {"", "60", "/m", "0/m", "60/d", "-1/m", "1.5/s", "60 / m", "60/min", "1000001/s"})
    EXPECT_FALSE(parse_rate(text)) << text;
}

TEST(Addresses, are_an_ip_address_and_a_port) {
  EXPECT_EQ(parse_address("127.0.0.1:8080"), (Address{"127.0.0.1", 8080}));
  EXPECT_EQ(parse_address("localhost:0"), (Address{"127.0.0.1", 0}));
  EXPECT_EQ(parse_address("[::1]:65535"), (Address{"::1", 65535}));
  EXPECT_EQ(parse_address("0.0.0.0:80"), (Address{"0.0.0.0", 80}));
  for (const char* text :
       {"", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80x", "::1:80",
        "[::1]", "[127.0.0.1]:80", "example.com:80", "256.0.0.1:80", "1.2.3:80"}) {
    EXPECT_EQ(parse_address(text), std::nullopt) << text;
  }
}

TEST(Addresses, of_ipv6_compare_equal_however_they_are_written) {
  EXPECT_EQ(parse_address("[0:0:0:0:0:0:0:1]:80"), parse_address("[::1]:80"));
  EXPECT_EQ(parse_address("[FE80::A]:80"), (Address{"fe80::a", 80}));
  EXPECT_EQ(parse_address(std::string_view("127.0.0.1\0:80", 13)), std::nullopt);
}

TEST(Addresses, loopback_is_127_and_ipv6_one) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE((Address{host, 1}).is_loopback()) << host;
  for (const char* host : {"0.0.0.0", "::", "128.0.0.1", "192.168.0.1", "::2", "::ffff:10.0.0.1", "nonsense"}) {
    EXPECT_FALSE((Address{host, 1}).is_loopback()) << host;
  }
}

TEST(Addresses, ipv6_is_printed_in_brackets) {
  EXPECT_EQ((Address{"::1", 80}).to_string(), "[::1]:80");
  EXPECT_EQ((Address{"127.0.0.1", 80}).to_string(), "127.0.0.1:80");
}

TEST(BaseUrl, is_http_with_a_host) {
  for (const char* text : {"https://api.deepseek.com", "https://api.deepseek.com/v1", "http://127.0.0.1:8000/v1/",
                           "http://[::1]:80", "http://h"}) {
    EXPECT_EQ(why_no_base_url(text), "") << text;
  }
  for (const char* text : {"", "api.deepseek.com", "ftp://x", "http://", "https:///v1", "http://u:p@x", "http://x?a",
                           "http://x#a", "http://x:0", "http://x:65536", "http://x:8a", "http://x:", "http://x y",
                           "http://x\n", "http://[::1", "http://[x]"}) {
    EXPECT_NE(why_no_base_url(text), "") << text;
  }
}

TEST(BaseUrl, leads_to_a_host_and_a_port) {
  EXPECT_EQ(address_of_base_url("https://api.deepseek.com/v1"), (Address{"api.deepseek.com", 443}));
  EXPECT_EQ(address_of_base_url("http://localhost:8080/v1"), (Address{"127.0.0.1", 8080}));
  EXPECT_EQ(address_of_base_url("http://[0::1]:8000"), (Address{"::1", 8000}));
  EXPECT_EQ(address_of_base_url("http://[::1]"), (Address{"::1", 80}));
}

TEST(Excerpt, is_escaped_and_short) {
  EXPECT_EQ(excerpt("a\x1B\n\""), "\"a\\u001B\\u000A\\\"\"");
  EXPECT_EQ(excerpt(std::string(80, 'a')), "\"" + std::string(80, 'a') + "\"");
  EXPECT_EQ(excerpt(std::string(79, 'a') + "üüü"), "\"" + std::string(79, 'a') + "\"…");
}

TEST(Overlay, only_what_is_set_wins) {
  TimeoutOverrides overrides;
  overrides.idle = milliseconds(1);
  overrides.deadline = milliseconds(2);
  const Timeouts got = overlay(Timeouts{}, overrides);
  EXPECT_EQ(got.idle, milliseconds(1));
  EXPECT_EQ(got.deadline, milliseconds(2));
  EXPECT_EQ(got.connect, Timeouts{}.connect);
  EXPECT_EQ(got.first_token, Timeouts{}.first_token);
}

}  // namespace
}  // namespace spillway::config

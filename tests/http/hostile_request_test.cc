#include <gtest/gtest.h>

#include "http/feeding.h"

namespace spillway::http {
namespace {

using testing::byte_by_byte;
using testing::in_two;
using testing::Read;
using testing::read_request;

struct Hostile {
  const char* name;
  int status;
  std::string bytes;
};

std::string post(const std::string& fields, const std::string& body = "") {
  return "POST / HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" + body;
}

std::string chunked(const std::string& body) { return post("Transfer-Encoding: chunked\r\n", body); }

std::string get(const std::string& fields) { return "GET / HTTP/1.1\r\n" + fields + "\r\n"; }

std::vector<Hostile> hostile_requests() {
  using namespace std::string_literals;
  return {
      {"two_blanks_before_the_target", 400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"many_blanks_before_the_target", 400, "GET     / HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"two_blanks_before_the_version", 400, "GET /  HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"content_length_and_transfer_encoding", 400,
       post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"transfer_encoding_and_content_length", 400,
       post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
      {"two_content_lengths", 400, post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")},
      {"two_equal_content_lengths", 400, post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")},
      {"list_of_content_lengths", 400, post("Content-Length: 5, 5\r\n", "hello")},
      {"negative_content_length", 400, post("Content-Length: -1\r\n")},
      {"content_length_with_plus", 400, post("Content-Length: +5\r\n", "hello")},
      {"hexadecimal_content_length", 400, post("Content-Length: 0x5\r\n", "hello")},
      {"content_length_with_inner_space", 400, post("Content-Length: 1 2\r\n", "hello")},
      {"empty_content_length", 400, post("Content-Length:\r\n", "hello")},
      {"content_length_beyond_64_bits", 400, post("Content-Length: 18446744073709551617\r\n", "h")},
      {"content_length_beyond_the_limit", 413, post("Content-Length: 9223372036854775807\r\n")},
      {"transfer_encoding_gzip", 501, post("Transfer-Encoding: gzip\r\n")},
      {"transfer_encoding_gzip_chunked", 501, post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
      {"chunked_twice", 400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"chunked_chunked", 400, post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")},
      {"empty_transfer_encoding", 501, post("Transfer-Encoding:\r\n", "")},
      {"transfer_encoding_in_http_1_0", 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"chunk_size_is_no_number", 400, chunked("zz\r\nhello\r\n0\r\n\r\n")},
      {"chunk_size_with_0x", 400, chunked("0x5\r\nhello\r\n0\r\n\r\n")},
      {"negative_chunk_size", 400, chunked("-5\r\nhello\r\n0\r\n\r\n")},
      {"empty_chunk_size", 400, chunked("\r\nhello\r\n0\r\n\r\n")},
      {"space_before_chunk_size", 400, chunked(" 5\r\nhello\r\n0\r\n\r\n")},
      {"chunk_size_beyond_64_bits", 400, chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")},
      {"chunk_longer_than_told", 400, chunked("3\r\nhello\r\n0\r\n\r\n")},
      {"bare_lf_behind_chunk_size", 400, chunked("5\nhello\r\n0\r\n\r\n")},
      {"bare_cr_behind_chunk_size", 400, chunked("5\rhello\r\n0\r\n\r\n")},
      {"bare_lf_behind_chunk", 400, chunked("5\r\nhello\n0\r\n\r\n")},
      {"bare_lf_in_chunk_extension", 400, chunked("5;a\nb\r\nhello\r\n0\r\n\r\n")},
      {"nul_in_chunk_extension", 400, chunked("5;a\0b\r\nhello\r\n0\r\n\r\n"s)},
      {"folded_field", 400, get("Host: x\r\nA: b\r\n c\r\n")},
      {"folded_field_of_empty_value", 400, get("Host: x\r\nA:\r\n c\r\n")},
      {"folded_field_with_tab", 400, get("Host: x\r\nA: b\r\n\tc\r\n")},
      {"folded_last_field_of_nothing", 400, get("Host: x\r\nA: b\r\n \r\n")},
      {"space_before_first_field", 400, get(" Host: x\r\n")},
      {"space_before_colon", 400, get("Host : x\r\n")},
      {"tab_before_colon", 400, get("Host: x\r\nA\t: b\r\n")},
      {"space_within_name", 400, get("Host: x\r\nA B: c\r\n")},
      {"name_without_colon", 400, get("Host: x\r\nA\r\n")},
      {"empty_name", 400, get("Host: x\r\n: b\r\n")},
      {"nul_in_name", 400, get("Host: x\r\nA\0B: c\r\n"s)},
      {"nul_in_value", 400, get("Host: x\r\nA: b\0c\r\n"s)},
      {"control_character_in_value", 400,
       get("Host: x\r\nA: b\x01"
           "c\r\n")},
      {"delete_character_in_value", 400,
       get("Host: x\r\nA: b\x7f"
           "c\r\n")},
      {"bare_lf_everywhere", 400, "GET / HTTP/1.1\nHost: x\n\n"},
      {"bare_lf_behind_request_line", 400, "GET / HTTP/1.1\nHost: x\r\n\r\n"},
      {"bare_lf_behind_field", 400, get("A: b\nHost: x\r\n")},
      {"bare_lf_as_empty_line", 400, "GET / HTTP/1.1\r\nHost: x\r\n\n"},
      {"bare_cr_in_value", 400, get("Host: x\r\nA: b\rc\r\n")},
      {"bare_cr_behind_field", 400, get("Host: x\rA: b\r\n")},
      {"missing_host", 400, get("A: b\r\n")},
      {"two_hosts", 400, get("Host: x\r\nHost: x\r\n")},
      {"empty_host", 400, get("Host:\r\n")},
      {"host_with_space", 400, get("Host: a b\r\n")},
      {"host_with_path", 400, get("Host: a/b\r\n")},
      {"host_with_user", 400, get("Host: a@b\r\n")},
      {"host_with_comma", 400, get("Host: a,b\r\n")},
      {"host_with_bad_port", 400, get("Host: a:80x\r\n")},
      {"host_with_open_bracket", 400, get("Host: [::1\r\n")},
      {"absolute_form", 400, "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"authority_form", 405, "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"trace", 405, "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"target_without_slash", 400, "GET x HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"asterisk_of_a_get", 400, "GET * HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"fragment_in_target", 400, "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"nul_in_target", 400, "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n"s},
      {"control_character_in_target", 400,
       "GET /a\x01"
       "b HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"space_in_target", 400, "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"no_target", 400, "GET HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"http_0_9", 505, "GET /\r\n\r\n"},
      {"http_1_2", 505, "GET / HTTP/1.2\r\nHost: x\r\n\r\n"},
      {"http_2_0", 505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"},
      {"http_2_preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"version_in_lower_case", 400, "GET / http/1.1\r\nHost: x\r\n\r\n"},
      {"version_without_minor", 505, "GET / HTTP/1\r\nHost: x\r\n\r\n"},
      {"lower_case_method", 400, "get / HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"unknown_method", 400, "FETCH / HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"space_before_method", 400, " GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"tls_client_hello", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s},
      {"a_response", 400, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"another_expectation", 417, post("Expect: a-miracle\r\nContent-Length: 5\r\n")},
  };
}

TEST(HostileRequest, is_refused_with_the_status_that_says_why) {
  for (const Hostile& hostile : hostile_requests()) {
    const Read read = read_request({hostile.bytes});
    EXPECT_EQ(read.status, ParseStatus::kError) << hostile.name;
    EXPECT_EQ(read.code, hostile.status) << hostile.name << ": " << read.what;
    EXPECT_FALSE(read.what.empty()) << hostile.name;
  }
}

TEST(HostileRequest, is_refused_alike_however_it_is_split) {
  for (const Hostile& hostile : hostile_requests()) {
    EXPECT_EQ(read_request(byte_by_byte(hostile.bytes)).code, hostile.status) << hostile.name;
    for (std::size_t at = 1; at < hostile.bytes.size(); ++at) {
      EXPECT_EQ(read_request(in_two(hostile.bytes, at)).code, hostile.status) << hostile.name << " at " << at;
    }
  }
}

TEST(HostileRequest, a_method_of_another_protocol_is_refused) {
  for (const std::string text : {"SOURCE / ICE/1.0\r\nHost: x\r\n\r\n", "DESCRIBE / RTSP/1.0\r\nHost: x\r\n\r\n"}) {
    EXPECT_EQ(read_request({text}).status, ParseStatus::kError) << text;
  }
}

TEST(HostileRequest, hundreds_of_thousands_of_fields_are_refused_early) {
  std::string fields = "Host: x\r\n";
  for (int i = 0; i < 200'000; ++i) fields += "a:b\r\n";
  EXPECT_EQ(read_request({get(fields)}).code, 431);
}

TEST(HostileRequest, good_hosts_are_not_refused) {
  for (const std::string host :
       {"a", "a.b-c_d", "127.0.0.1:8080", "[::1]", "[::1]:8080", "a:", "xn--bcher-kva.example"}) {
    EXPECT_EQ(read_request({get("Host: " + host + "\r\n")}).status, ParseStatus::kComplete) << host;
  }
}

}  // namespace
}  // namespace spillway::http

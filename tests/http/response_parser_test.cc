#include <gtest/gtest.h>

#include "http/feeding.h"
#include "http/parser.h"

namespace spillway::http {
namespace {

using testing::append;
using testing::byte_by_byte;
using testing::in_two;
using testing::Read;
using testing::read_response;

struct Example {
  std::string text;
  bool until_end = false;  // the body ends with the connection
};

const Example kGood[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: a/b\r\n\r\nhello"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: 1\r\n\r\n"},
    {"HTTP/1.1 200 OK\r\n\r\nhello until the end", true},
    {"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello", true},
    {"HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n"},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"},
    {"HTTP/1.1 529 \r\nContent-Length: 0\r\n\r\n"},
    {"HTTP/1.1 401 Nobody \xe2\x82\xac knows\r\nContent-Length: 2\r\n\r\nno"},
};

TEST(ResponseParser, a_split_at_any_byte_gives_the_same_response) {
  for (const auto& [text, until_end] : kGood) {
    const Read whole = read_response({text}, until_end);
    ASSERT_EQ(whole.status, ParseStatus::kComplete) << text << whole.what;
    for (std::size_t at = 1; at < text.size(); ++at) {
      EXPECT_EQ(read_response(in_two(text, at), until_end), whole) << text << at;
    }
    EXPECT_EQ(read_response(byte_by_byte(text), until_end), whole) << text;
  }
}

TEST(ResponseParser, status_fields_and_body_are_read) {
  const Read read = read_response({kGood[1].text}, false);
  EXPECT_EQ(read.code, 200);
  EXPECT_EQ(read.body, "hello");
  EXPECT_TRUE(read.keep_alive);
  EXPECT_EQ(read_response({kGood[6].text}, false).code, 529);
  EXPECT_EQ(read_response({kGood[7].text}, false).body, "no");
  EXPECT_EQ(read_response({kGood[2].text}, true).body, "hello until the end");
}

TEST(ResponseParser, the_end_of_the_connection_within_a_message_is_an_error) {
  for (const auto& [text, until_end] : kGood) {
    if (until_end) continue;
    for (std::size_t at = 0; at < text.size(); ++at) {
      const Read read = read_response({std::string_view(text).substr(0, at)}, true);
      EXPECT_EQ(read.status, ParseStatus::kError) << text << at;
      EXPECT_EQ(read.code, 502);
    }
  }
}

TEST(ResponseParser, an_interim_response_is_a_message_of_its_own) {
  for (const std::string interim :
       {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"}) {
    const Read read = read_response({interim + "HTTP/1.1 200 OK\r\n"}, false);
    EXPECT_EQ(read.status, ParseStatus::kComplete) << interim;
    EXPECT_EQ(read.behind, "HTTP/1.1 200 OK\r\n") << interim;
  }
}

TEST(ResponseParser, what_is_not_http_1_is_refused) {
  using namespace std::string_literals;
  for (const std::string& text : {"HTTP/2.0 200 OK\r\n\r\n"s, "<html>\r\n\r\n"s, "SSH-2.0-OpenSSH_9.2\r\n"s,
                                  "HTTP/1.1 abc OK\r\n\r\n"s, "ICY 200 OK\r\n\r\n"s, "HTTP/1.1 20 OK\r\n\r\n"s,
                                  "HTTP/1.1 2000 OK\r\n\r\n"s, "\0\0\0\0"s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"s}) {
    EXPECT_EQ(read_response({text}, true).status, ParseStatus::kError) << text;
    EXPECT_EQ(read_response(byte_by_byte(text), true).status, ParseStatus::kError) << text;
  }
}

TEST(ResponseParser, a_length_told_in_two_ways_is_refused) {
  for (const std::string fields :
       {"Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\n", "Content-Length: -5\r\n", "Content-Length: x\r\n"}) {
    const std::string text = "HTTP/1.1 200 OK\r\n" + fields + "\r\nhello";
    EXPECT_EQ(read_response({text}, false).status, ParseStatus::kError) << fields;
  }
}

TEST(ResponseParser, bare_and_folded_lines_are_refused) {
  for (const std::string text :
       {"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n"}) {
    EXPECT_EQ(read_response({text}, false).status, ParseStatus::kError) << text;
  }
}

TEST(ResponseParser, limits_hold) {
  ParserLimits limits;
  limits.max_header = 200;
  limits.max_body = 10;
  limits.max_fields = 3;
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  EXPECT_EQ(read_response({ok + "Content-Length: 10\r\n\r\n0123456789"}, false, limits).status, ParseStatus::kComplete);
  EXPECT_EQ(read_response({ok + "Content-Length: 11\r\n\r\n"}, false, limits).status, ParseStatus::kError);
  EXPECT_EQ(read_response({ok + "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n"}, false, limits).status,
            ParseStatus::kError);
  EXPECT_EQ(read_response({ok + "\r\n01234567890"}, true, limits).status, ParseStatus::kError);
  EXPECT_EQ(read_response({ok + "A: " + std::string(300, 'a')}, false, limits).status, ParseStatus::kError);
  EXPECT_EQ(read_response({ok + "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n"}, false, limits).status, ParseStatus::kError);
}

// Streams are longer than any buffer: what was used is given back, and the head with it.
TEST(ResponseParser, a_consumed_body_needs_no_room_and_is_not_counted_against_the_limit) {
  for (const bool chunked : {true, false}) {
    ParserLimits limits;
    limits.max_body = 1000;
    ResponseParser parser(limits);
    ByteBuffer buffer;
    append(buffer, chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n");
    std::string got;
    std::string sent;
    for (int i = 0; i < 5000; ++i) {
      const std::string piece = "event " + std::to_string(i) + ";";
      sent += piece;
      char size[16];
      std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
      append(buffer, chunked ? size + piece + "\r\n" : piece);
      ASSERT_EQ(parser.feed(buffer), ParseStatus::kNeedMore);
      const std::string_view body = buffer.view(parser.body_begin(), parser.body_end());
      const std::size_t use = body.size() - static_cast<std::size_t>(i % 3 == 0 ? 0 : 3);  // leaves a part at times
      got += body.substr(0, use);
      parser.consume_body(buffer, use);
    }
    if (chunked) {
      append(buffer, "0\r\n\r\n");
      ASSERT_EQ(parser.feed(buffer), ParseStatus::kComplete);
    } else {
      ASSERT_EQ(parser.finish(), ParseStatus::kComplete);
    }
    got += buffer.view(parser.body_begin(), parser.body_end());
    EXPECT_EQ(got, sent);
    EXPECT_LE(buffer.capacity(), 16'384u);
  }
}

}  // namespace
}  // namespace spillway::http

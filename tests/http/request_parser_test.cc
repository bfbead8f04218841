#include <gtest/gtest.h>

#include "http/feeding.h"
#include "http/parser.h"

namespace spillway::http {
namespace {

using testing::append;
using testing::byte_by_byte;
using testing::in_two;
using testing::Read;
using testing::read_request;

const std::string kGood[] = {
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: example.com:8080\r\nContent-Type: application/json\r\n"
    "Content-Length: 11\r\nX-Empty:\r\nX-Spaces: \t a b \t\r\n\r\nhello world",
    "POST /c HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "00a;name=value\r\n0123456789\r\n1\r\nx\r\n0;last\r\nX-Trailer: yes\r\nOther: no\r\n\r\n",
    "POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "\r\nGET /after-an-empty-line HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /old HTTP/1.0\r\n\r\n",
    "GET /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
};

TEST(RequestParser, a_split_at_any_byte_gives_the_same_request) {
  for (const std::string& text : kGood) {
    const Read whole = read_request({text});
    ASSERT_EQ(whole.status, ParseStatus::kComplete) << text << whole.what;
    for (std::size_t at = 1; at < text.size(); ++at) EXPECT_EQ(read_request(in_two(text, at)), whole) << text << at;
    EXPECT_EQ(read_request(byte_by_byte(text)), whole) << text;
  }
}

TEST(RequestParser, head_and_body_are_read_as_they_came) {
  const Read read = read_request({kGood[1]});
  EXPECT_EQ(read.head,
            "2 /v1/chat/completions?x=1\n[Host]=[example.com:8080]\n[Content-Type]=[application/json]\n"
            "[Content-Length]=[11]\n[X-Empty]=[]\n[X-Spaces]=[a b]\n");
  EXPECT_EQ(read.body, "hello world");
  EXPECT_TRUE(read.keep_alive);
}

TEST(RequestParser, chunks_are_put_together_without_extensions_and_trailers) {
  EXPECT_EQ(read_request({kGood[2]}).body, "hello world");
  const Read read = read_request({kGood[3]});
  EXPECT_EQ(read.body, "0123456789x");
  EXPECT_EQ(read.head.find("Trailer"), std::string::npos);
}

TEST(RequestParser, the_path_ends_before_the_query) {
  RequestParser parser(ParserLimits{});
  ByteBuffer buffer;
  append(buffer, "DELETE /a/b?c=/d?e HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_EQ(parser.feed(buffer), ParseStatus::kComplete);
  Request request;
  parser.read(buffer, request);
  EXPECT_EQ(request.path, "/a/b");
  EXPECT_EQ(request.target, "/a/b?c=/d?e");
  EXPECT_EQ(request.method, Method::kDelete);
}

TEST(RequestParser, methods_are_told_apart) {
  const std::pair<std::string, Method> table[] = {{"GET", Method::kGet},       {"HEAD", Method::kHead},
                                                  {"POST", Method::kPost},     {"PUT", Method::kPut},
                                                  {"DELETE", Method::kDelete}, {"OPTIONS", Method::kOptions},
                                                  {"PATCH", Method::kPatch},   {"PROPFIND", Method::kOther}};
  for (const auto& [name, method] : table) {
    RequestParser parser(ParserLimits{});
    ByteBuffer buffer;
    append(buffer, name + " / HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_EQ(parser.feed(buffer), ParseStatus::kComplete) << name;
    Request request;
    parser.read(buffer, request);
    EXPECT_EQ(request.method, method) << name;
  }
}

TEST(RequestParser, bytes_behind_a_request_are_left_for_the_next) {
  for (const std::string& text : kGood) {
    const Read read = read_request({text + "GET /next"});
    ASSERT_EQ(read.status, ParseStatus::kComplete) << text;
    EXPECT_EQ(read.behind, "GET /next") << text;
  }
}

TEST(RequestParser, pipelined_requests_come_one_after_the_other) {
  RequestParser parser(ParserLimits{});
  ByteBuffer buffer;
  for (const std::string& text : kGood) append(buffer, text);
  for (const std::string& text : kGood) {
    ASSERT_EQ(parser.feed(buffer), ParseStatus::kComplete) << text;
    Request request;
    parser.read(buffer, request);
    EXPECT_EQ(request.body, read_request({text}).body);
    buffer.drop_front(parser.consumed());
    parser.reset();
  }
  EXPECT_EQ(buffer.end(), 0u);
}

TEST(RequestParser, keep_alive_follows_the_version_and_the_connection_field) {
  const auto keeps = [](const std::string& version, const std::string& fields) {
    return read_request({"GET / HTTP/" + version + "\r\nHost: x\r\n" + fields + "\r\n"}).keep_alive;
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_FALSE(keeps("1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: foo, Close\r\n"));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Connection: keep-alive\r\n"));
}

TEST(RequestParser, the_limit_of_the_header_holds_at_its_edge) {
  const std::string before = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
  for (const std::size_t limit : {std::size_t{100}, std::size_t{8192}}) {
    ParserLimits limits;
    limits.max_header = limit;
    // What counts is the start line and the fields, without the empty line.
    const std::string edge = before + std::string(limit - before.size() - 2, 'a') + "\r\n\r\n";
    EXPECT_EQ(read_request({edge}, limits).status, ParseStatus::kComplete);
    EXPECT_EQ(read_request(byte_by_byte(edge), limits).status, ParseStatus::kComplete);
    const std::string beyond = before + std::string(limit - before.size() - 1, 'a') + "\r\n\r\n";
    const Read refused = read_request({beyond}, limits);
    EXPECT_EQ(refused.status, ParseStatus::kError);
    EXPECT_EQ(refused.code, 431);
    EXPECT_EQ(read_request(byte_by_byte(beyond), limits).code, 431);
  }
}

TEST(RequestParser, a_header_without_end_is_refused_at_the_limit) {
  ParserLimits limits;
  limits.max_header = 1000;
  for (const std::string& text : {"GET /" + std::string(1100, 'a'), "GET / HTTP/1.1\r\nA: " + std::string(1100, 'a'),
                                  "GET / HTTP/1.1\r\n" + std::string(1100, 'a'), std::string(1100, '\n')}) {
    const Read read = read_request(byte_by_byte(text), limits);
    EXPECT_EQ(read.status, ParseStatus::kError);
    EXPECT_TRUE(read.code == 431 || read.code == 400) << read.code;
  }
}

TEST(RequestParser, the_limit_of_fields_holds_at_its_edge) {
  ParserLimits limits;
  limits.max_fields = 10;
  std::string fields = "Host: x\r\n";
  for (int i = 1; i < 10; ++i) fields += "A: b\r\n";
  EXPECT_EQ(read_request({"GET / HTTP/1.1\r\n" + fields + "\r\n"}, limits).status, ParseStatus::kComplete);
  const Read refused = read_request({"GET / HTTP/1.1\r\n" + fields + "A: b\r\n\r\n"}, limits);
  EXPECT_EQ(refused.code, 431);
}

TEST(RequestParser, the_limit_of_the_body_holds_at_its_edge) {
  ParserLimits limits;
  limits.max_body = 100;
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
  const std::string full(100, 'b');
  EXPECT_EQ(read_request({head + "Content-Length: 100\r\n\r\n" + full}, limits).body, full);
  // Refused before any of it has come.
  EXPECT_EQ(read_request({head + "Content-Length: 101\r\n\r\n"}, limits).code, 413);
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(
      read_request({chunked + "32\r\n" + full.substr(50) + "\r\n32\r\n" + full.substr(50) + "\r\n0\r\n\r\n"}, limits)
          .body,
      full);
  EXPECT_EQ(read_request({chunked + "32\r\n" + full.substr(50) + "\r\n33\r\n" + full}, limits).code, 413);
}

TEST(RequestParser, chunk_framing_does_not_pile_up_in_the_buffer) {
  RequestParser parser(ParserLimits{});
  ByteBuffer buffer;
  append(buffer, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string body;
  for (int i = 0; i < 20'000; ++i) {
    const char c = static_cast<char>('a' + i % 26);
    body += c;
    ASSERT_EQ(parser.feed(buffer), ParseStatus::kNeedMore);
    append(buffer, std::string("1;ignored=extension\r\n") + c + "\r\n");
  }
  append(buffer, "0\r\n\r\n");
  ASSERT_EQ(parser.feed(buffer), ParseStatus::kComplete);
  Request request;
  parser.read(buffer, request);
  EXPECT_EQ(request.body, body);
  EXPECT_LE(buffer.capacity(), 65'536u);
}

TEST(RequestParser, framing_without_end_is_refused_at_the_limit) {
  ParserLimits limits;
  limits.max_header = 1000;
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& text :
       {head + "1;" + std::string(1100, 'x'), head + "1\r\na\r\n" + std::string(1100, '0'),
        head + "1\r\na\r\n1;" + std::string(1100, 'x'), head + "0\r\n" + "X: " + std::string(1100, 'x')}) {
    const Read read = read_request(byte_by_byte(text), limits);
    EXPECT_EQ(read.status, ParseStatus::kError) << text.substr(head.size(), 20);
    EXPECT_EQ(read_request({text}, limits).status, ParseStatus::kError) << text.substr(head.size(), 20);
  }
}

TEST(RequestParser, a_client_that_waits_for_100_is_seen) {
  RequestParser parser(ParserLimits{});
  ByteBuffer buffer;
  append(buffer, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(parser.feed(buffer), ParseStatus::kNeedMore);
  EXPECT_TRUE(parser.head_done());
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_EQ(parser.content_length(), 5u);
}

TEST(RequestParser, http_1_0_knows_no_100_continue) {
  RequestParser parser(ParserLimits{});
  ByteBuffer buffer;
  append(buffer, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(parser.feed(buffer), ParseStatus::kNeedMore);
  EXPECT_FALSE(parser.expects_continue());
}

TEST(RequestParser, padding_behind_the_body_is_readable) {
  const std::string text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n" + std::string(4000, 'x');
  RequestParser parser(ParserLimits{});
  ByteBuffer buffer;
  append(buffer, text);
  ASSERT_EQ(parser.feed(buffer), ParseStatus::kComplete);
  Request request;
  parser.read(buffer, request);
  EXPECT_LE(request.body.data() + request.body.size() + ByteBuffer::kPadding,
            buffer.data() + buffer.capacity() + ByteBuffer::kPadding);
}

}  // namespace
}  // namespace spillway::http

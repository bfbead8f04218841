#include "attempt/forward.h"

#include <gtest/gtest.h>

namespace spillway::attempt {
namespace {

class Forward : public ::testing::Test {
 protected:
  std::shared_ptr<backend::Backend> make(std::map<std::string, std::string> headers = {}) {
    config::Backend settings;
    settings.name = "b";
    settings.base_url = "http://example.com/v1";
    settings.api_key.value = "sk-own";
    settings.headers = std::move(headers);
    return *backend::Backend::make(settings, metrics_.add_thread());
  }
  std::string request(const http::Headers& client) { return request_head(*make(), client, 42); }

  record::Metrics metrics_;
};

http::Headers fields(const std::vector<http::Header>& list) {
  http::Headers headers;
  for (const auto& [name, value] : list) headers.add(name, value);
  return headers;
}

std::string response(const http::Headers& upstream) {
  std::string out;
  append_response_fields(out, upstream);
  return out;
}

TEST_F(Forward, a_request_head_is_whole_and_tells_the_length) {
  EXPECT_EQ(request({}),
            "POST /v1/chat/completions HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/json\r\n"
            "Accept-Encoding: identity\r\nAuthorization: Bearer sk-own\r\nContent-Length: 42\r\n\r\n");
}

TEST_F(Forward, the_clients_other_fields_go_on_as_they_came) {
  const std::string head = request(fields({{"User-Agent", "OpenAI/Python"},
                                           {"x-stainless-lang", "python"},
                                           {"OpenAI-Organization", "o"},
                                           {"Accept", "*/*"}}));
  for (const std::string line : {"User-Agent: OpenAI/Python\r\n", "x-stainless-lang: python\r\n",
                                 "OpenAI-Organization: o\r\n", "Accept: */*\r\n"}) {
    EXPECT_NE(head.find("\r\n" + line), std::string::npos) << line;
  }
}

TEST_F(Forward, credentials_cookies_own_and_hop_by_hop_fields_stay_here) {
  const std::string plain = request({});
  for (const std::string name : {"Authorization",
                                 "AUTHORIZATION",
                                 "x-api-key",
                                 "X-Api-Key",
                                 "api-key",
                                 "Cookie",
                                 "x-spillway-workload",
                                 "X-Spillway-Priority",
                                 "x-spillway-",
                                 "Connection",
                                 "Keep-Alive",
                                 "Proxy-Authenticate",
                                 "Proxy-Authorization",
                                 "Proxy-Connection",
                                 "TE",
                                 "Trailer",
                                 "Transfer-Encoding",
                                 "Upgrade",
                                 "HTTP2-Settings",
                                 "Content-Length",
                                 "Host",
                                 "Expect",
                                 "Accept-Encoding",
                                 "Content-Type",
                                 "Content-Encoding"}) {
    EXPECT_EQ(request(fields({{name, "secret"}})), plain) << name;
  }
}

TEST_F(Forward, names_that_only_begin_alike_go_on) {
  for (const std::string name : {"x-spillwa", "x-spillways", "cookies", "hosts", "x-api-key-id", "authorization-x"}) {
    EXPECT_NE(request(fields({{name, "v"}})).find("\r\n" + name + ": v\r\n"), std::string::npos) << name;
  }
}

TEST_F(Forward, what_a_connection_field_names_stays_here) {
  const std::string head =
      request(fields({{"Connection", "close, X-One ,x-two"}, {"x-one", "1"}, {"X-Two", "2"}, {"X-Three", "3"}}));
  EXPECT_EQ(head.find("x-one"), std::string::npos);
  EXPECT_EQ(head.find("X-Two"), std::string::npos);
  EXPECT_NE(head.find("\r\nX-Three: 3\r\n"), std::string::npos);
}

TEST_F(Forward, what_any_of_several_connection_fields_names_stays_here) {
  const std::string head =
      request(fields({{"Connection", "X-One"}, {"Connection", "X-Two"}, {"X-One", "1"}, {"X-Two", "2"}}));
  EXPECT_EQ(head.find("X-One"), std::string::npos);
  EXPECT_EQ(head.find("X-Two"), std::string::npos);
}

TEST_F(Forward, the_backends_own_fields_win) {
  const auto backend = make({{"User-Agent", "own"}, {"X-Extra", "1"}});
  const std::string head = request_head(*backend, fields({{"user-agent", "client"}, {"x-extra", "2"}}), 1);
  EXPECT_EQ(head.find("client"), std::string::npos);
  EXPECT_NE(head.find("\r\nUser-Agent: own\r\nX-Extra: 1\r\n"), std::string::npos) << head;
}

TEST_F(Forward, an_answers_fields_come_back_but_for_what_stays_there) {
  const std::string kept =
      response(fields({{"openai-processing-ms", "12"}, {"x-ratelimit-remaining-tokens", "7"}, {"Retry-After", "3"}}));
  EXPECT_EQ(kept, "openai-processing-ms: 12\r\nx-ratelimit-remaining-tokens: 7\r\nRetry-After: 3\r\n");
  for (const std::string name :
       {"Set-Cookie", "x-request-id", "X-Request-Id", "x-spillway-backend", "X-Spillway-Attempts", "Content-Length",
        "Transfer-Encoding", "Connection", "Keep-Alive", "Trailer", "Upgrade", "Date", "Server", "Content-Type",
        "Alt-Svc", "Strict-Transport-Security"}) {
    EXPECT_EQ(response(fields({{name, "v"}})), "") << name;
  }
  EXPECT_EQ(response(fields({{"Connection", "x-hop"}, {"X-Hop", "1"}, {"X-Stays", "2"}})), "X-Stays: 2\r\n");
}

}  // namespace
}  // namespace spillway::attempt

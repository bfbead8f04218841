#include "attempt/forward.h"

#include <gtest/gtest.h>

namespace spillway::attempt {
namespace {

class Forward : public ::testing::Test {
 protected:
  std::shared_ptr<backend::Backend> make(std::map<std::string, config::HeaderValue> headers = {},
                                         std::vector<std::string> forward = {}) {
    config::Backend settings;
    settings.name = "b";
    settings.base_url = "http://example.com/v1";
    settings.api_key.value = "sk-own-key";
    settings.headers = std::move(headers);
    settings.forward_headers = std::move(forward);
    return *backend::Backend::make(settings, metrics_.add_thread());
  }
  std::string request(const http::Headers& client) {
    const auto backend = make();
    return request_head(*backend, backend->head(api::Endpoint::kChat), client, 42, "id-1");
  }

  std::string response(const http::Headers& upstream) {
    std::string out;
    append_response_fields(out, upstream, *make({{"x-token", {"env:T", "Bearer secret-of-config"}}}));
    return out;
  }

  record::Metrics metrics_;
};

http::Headers fields(const std::vector<http::Header>& list) {
  http::Headers headers;
  for (const auto& [name, value] : list) headers.add(name, value);
  return headers;
}

TEST_F(Forward, a_request_head_is_whole_and_tells_the_length) {
  EXPECT_EQ(request({}),
            "POST /v1/chat/completions HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/json\r\n"
            "Accept-Encoding: identity\r\nAuthorization: Bearer sk-own-key\r\nx-request-id: id-1\r\n"
            "Content-Length: 42\r\n\r\n");
}

TEST_F(Forward, a_short_list_of_the_clients_fields_goes_on_as_it_came) {
  const std::string head = request(fields({{"User-Agent", "OpenAI/Python"},
                                           {"x-stainless-lang", "python"},
                                           {"OpenAI-Organization", "o"},
                                           {"anthropic-beta", "b"},
                                           {"traceparent", "00-1"},
                                           {"TraceState", "a=b"},
                                           {"Accept-Language", "zh"},
                                           {"Accept", "*/*"}}));
  for (const std::string line : {"User-Agent: OpenAI/Python\r\n", "x-stainless-lang: python\r\n",
                                 "OpenAI-Organization: o\r\n", "Accept: */*\r\n", "anthropic-beta: b\r\n",
                                 "traceparent: 00-1\r\n", "TraceState: a=b\r\n", "Accept-Language: zh\r\n"}) {
    EXPECT_NE(head.find("\r\n" + line), std::string::npos) << line;
  }
}

TEST_F(Forward, all_others_stay_here) {
  const std::string plain = request({});
  for (const std::string name : {"Authorization",
                                 "AUTHORIZATION",
                                 "x-api-key",
                                 "api-key",
                                 "Cookie",
                                 "x-goog-api-key",
                                 "X-Auth-Token",
                                 "x-amz-date",
                                 "X-Forwarded-For",
                                 "Origin",
                                 "Referer",
                                 "Sec-Fetch-Mode",
                                 "Cf-Access-Token",
                                 "x-request-id",
                                 "x-spillway-workload",
                                 "Connection",
                                 "Keep-Alive",
                                 "Proxy-Connection",
                                 "TE",
                                 "Trailer",
                                 "Upgrade",
                                 "Transfer-Encoding",
                                 "Content-Length",
                                 "Host",
                                 "Expect",
                                 "Accept-Encoding",
                                 "Content-Type",
                                 "Content-Encoding",
                                 "openai",
                                 "anthropic",
                                 "accept-languages",
                                 "x-stainles-is-like",
                                 "traceparents",
                                 "Accept-",
                                 "user_agent"}) {
    EXPECT_EQ(request(fields({{name, "secret"}})), plain) << name;
  }
}

TEST_F(Forward, what_the_config_names_goes_on_too) {
  const auto backend = make({}, {"X-Team", "x-forwarded-for"});
  const std::string head =
      request_head(*backend, backend->head(api::Endpoint::kChat),
                   fields({{"x-team", "blue"}, {"X-Forwarded-For", "10.0.0.1"}, {"x-teams", "no"}}), 1, "id-1");
  EXPECT_NE(head.find("\r\nx-team: blue\r\nX-Forwarded-For: 10.0.0.1\r\n"), std::string::npos) << head;
  EXPECT_EQ(head.find("x-teams"), std::string::npos);
}

TEST_F(Forward, what_a_connection_field_names_stays_here) {
  const std::string head = request(fields({{"Connection", "close, OpenAI-One ,openai-two"},
                                           {"openai-one", "1"},
                                           {"OpenAI-Two", "2"},
                                           {"OpenAI-Three", "3"}}));
  EXPECT_EQ(head.find("openai-one"), std::string::npos);
  EXPECT_EQ(head.find("OpenAI-Two"), std::string::npos);
  EXPECT_NE(head.find("\r\nOpenAI-Three: 3\r\n"), std::string::npos);
}

TEST_F(Forward, what_any_of_several_connection_fields_names_stays_here) {
  const std::string head = request(
      fields({{"Connection", "OpenAI-One"}, {"Connection", "OpenAI-Two"}, {"OpenAI-One", "1"}, {"OpenAI-Two", "2"}}));
  EXPECT_EQ(head.find("OpenAI-One"), std::string::npos);
  EXPECT_EQ(head.find("OpenAI-Two"), std::string::npos);
}

TEST_F(Forward, the_backends_own_fields_win) {
  const auto backend = make({{"User-Agent", {"", "own"}}, {"X-Extra", {"", "1"}}, {"X-Request-Id", {"", "fixed"}}});
  const std::string head = request_head(*backend, backend->head(api::Endpoint::kChat),
                                        fields({{"user-agent", "client"}, {"x-extra", "2"}}), 1, "id-1");
  EXPECT_EQ(head.find("id-1"), std::string::npos);
  EXPECT_EQ(head.find("client"), std::string::npos);
  EXPECT_NE(head.find("\r\nUser-Agent: own\r\nX-Extra: 1\r\n"), std::string::npos) << head;
}

TEST_F(Forward, of_an_answers_fields_a_short_list_comes_back) {
  const std::string kept =
      response(fields({{"openai-processing-ms", "12"}, {"x-ratelimit-remaining-tokens", "7"}, {"Retry-After", "3"}}));
  EXPECT_EQ(kept, "openai-processing-ms: 12\r\nx-ratelimit-remaining-tokens: 7\r\nRetry-After: 3\r\n");
  for (const std::string name : {"Set-Cookie",
                                 "Access-Control-Allow-Origin",
                                 "access-control-allow-credentials",
                                 "x-spillway-backend",
                                 "X-Spillway-Attempts",
                                 "Content-Length",
                                 "Transfer-Encoding",
                                 "Connection",
                                 "Keep-Alive",
                                 "Trailer",
                                 "Upgrade",
                                 "Date",
                                 "Server",
                                 "Content-Type",
                                 "Alt-Svc",
                                 "Strict-Transport-Security",
                                 "Location",
                                 "Refresh",
                                 "Clear-Site-Data",
                                 "WWW-Authenticate",
                                 "openai-organization",
                                 "openai-project",
                                 "x-internal-host",
                                 "Content-Encoding",
                                 "X-Made-Up",
                                 "retry-afters",
                                 "x-ratelimi"}) {
    EXPECT_EQ(response(fields({{name, "v"}})), "") << name;
  }
  EXPECT_EQ(response(fields({{"Connection", "x-ratelimit-hop"}, {"X-RateLimit-Hop", "1"}, {"X-RateLimit-Stays", "2"}})),
            "X-RateLimit-Stays: 2\r\n");
}
TEST_F(Forward, the_providers_own_id_comes_back_under_another_name) {
  EXPECT_EQ(response(fields({{"X-Request-Id", "req-1"}})), "x-spillway-upstream-request-id: req-1\r\n");
  EXPECT_EQ(response(fields({{"request-id", "req-2"}})), "x-spillway-upstream-request-id: req-2\r\n");
  EXPECT_EQ(response(fields({{"request-id", "two"}, {"x-request-id", "one"}})),
            "x-spillway-upstream-request-id: one\r\n");
  EXPECT_EQ(response(fields({{"x-request-id", "a \"b\""}})), "");
}

TEST_F(Forward, no_secret_of_the_backend_comes_back) {
  EXPECT_EQ(response(fields({{"warning", "key sk-own-key, token secret-of-config"}, {"sunset", "plain"}})),
            "warning: key ***, token ***\r\nsunset: plain\r\n");
}

}  // namespace
}  // namespace spillway::attempt

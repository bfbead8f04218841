#include "attempt/outcome.h"

#include <gtest/gtest.h>

namespace spillway::attempt {
namespace {

using http::ClientStatus;
using C = OutcomeClass;

struct Row {
  C cls;
  std::string_view word;
  Blame blame;
  bool retryable;
  bool resumable;
};

constexpr Row kTable[] = {
    {C::kAnswered, "answered", Blame::kNobody, false, false},
    {C::kResolve, "resolve", Blame::kBackend, true, false},
    {C::kConnect, "connect", Blame::kBackend, true, false},
    {C::kTls, "tls", Blame::kBackend, true, false},
    {C::kTimeout, "timeout", Blame::kBackend, true, false},
    {C::kFirstToken, "first_token", Blame::kBackend, true, false},
    {C::kStall, "stall", Blame::kBackend, true, true},
    {C::kSlow, "slow", Blame::kBackend, true, true},
    {C::kCut, "cut", Blame::kBackend, true, true},
    {C::kGarbage, "garbage", Blame::kBackend, true, true},
    {C::kEmpty, "empty", Blame::kBackend, true, false},
    {C::kOverload, "overload", Blame::kBackend, true, true},
    {C::kRateLimited, "rate_limited", Blame::kBackend, true, true},
    {C::kQuota, "quota", Blame::kOperator, true, true},
    {C::kServer, "server", Blame::kBackend, true, true},
    {C::kConfig, "config", Blame::kOperator, true, false},
    {C::kNoModel, "no_model", Blame::kClient, true, false},
    {C::kContext, "context", Blame::kClient, false, false},
    {C::kClient, "client", Blame::kClient, false, false},
    {C::kMismatch, "mismatch", Blame::kNobody, false, true},
    {C::kOutrun, "outrun", Blame::kNobody, false, false},
    {C::kShed, "shed", Blame::kNobody, true, false},
    {C::kUnsupported, "unsupported", Blame::kNobody, true, false},
    {C::kReplaced, "replaced", Blame::kNobody, true, false},
    {C::kInternal, "internal", Blame::kNobody, true, false},
    {C::kAbandoned, "abandoned", Blame::kNobody, false, false},
};

TEST(Outcome, every_class_has_its_word_its_blame_and_what_may_follow) {
  int next = 0;
  for (const Row& row : kTable) {
    EXPECT_EQ(static_cast<int>(row.cls), next++);
    EXPECT_EQ(to_word(row.cls), row.word);
    EXPECT_EQ(blame(row.cls), row.blame) << row.word;
    EXPECT_EQ(retryable_before_commit(row.cls), row.retryable) << row.word;
    EXPECT_EQ(resumable_after_commit(row.cls), row.resumable) << row.word;
  }
  EXPECT_EQ(next, static_cast<int>(C::kAbandoned) + 1);
}

TEST(Outcome, statuses_have_the_classes_of_the_contract) {
  const std::pair<int, C> table[] = {{400, C::kClient},  {413, C::kClient},      {422, C::kClient}, {401, C::kConfig},
                                     {402, C::kConfig},  {403, C::kConfig},      {404, C::kConfig}, {405, C::kConfig},
                                     {408, C::kServer},  {429, C::kRateLimited}, {500, C::kServer}, {501, C::kServer},
                                     {502, C::kServer},  {503, C::kOverload},    {504, C::kServer}, {529, C::kOverload},
                                     {599, C::kServer},  {301, C::kConfig},      {302, C::kConfig}, {307, C::kConfig},
                                     {204, C::kGarbage}, {206, C::kGarbage}};
  for (const auto& [status, cls] : table) EXPECT_EQ(class_of_status(status), cls) << status;
}

TEST(Outcome, only_400_413_and_422_stop_the_search_for_another_target) {
  for (int status = 201; status < 600; ++status) {
    EXPECT_EQ(retryable_before_commit(class_of_status(status)), status != 400 && status != 413 && status != 422)
        << status;
  }
}

TEST(Outcome, failures_of_the_connection_have_their_classes) {
  EXPECT_EQ(class_of_connection(ClientStatus::kResolveFailed, false), C::kResolve);
  EXPECT_EQ(class_of_connection(ClientStatus::kConnectFailed, false), C::kConnect);
  EXPECT_EQ(class_of_connection(ClientStatus::kTlsFailed, false), C::kTls);
  EXPECT_EQ(class_of_connection(ClientStatus::kTimeout, false), C::kTimeout);
  EXPECT_EQ(class_of_connection(ClientStatus::kTimeout, true), C::kFirstToken);
  EXPECT_EQ(class_of_connection(ClientStatus::kClosed, false), C::kCut);
  EXPECT_EQ(class_of_connection(ClientStatus::kClosed, true), C::kCut);
  EXPECT_EQ(class_of_connection(ClientStatus::kGarbage, true), C::kGarbage);
  EXPECT_EQ(class_of_connection(ClientStatus::kAborted, true), C::kAbandoned);
}

TEST(Outcome, a_404_speaks_of_the_model_or_of_the_path) {
  EXPECT_TRUE(says_no_such_model({"", "", "model_not_found"}));
  EXPECT_TRUE(says_no_such_model({"", "", "ModelNotFound"}));
  EXPECT_TRUE(says_no_such_model({"The model `x` does not exist.", "NotFoundError", "404"}));
  EXPECT_TRUE(says_no_such_model({"model 'x' not found", "api_error", ""}));
  EXPECT_FALSE(says_no_such_model({"Not Found", "", ""}));
  EXPECT_FALSE(says_no_such_model({}));
}

}  // namespace
}  // namespace spillway::attempt

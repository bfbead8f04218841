#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace spillway {
namespace {

Result<std::unique_ptr<int>> make(bool good) {
  if (!good) return Error{ErrorCode::kNotFound, "no number", "make one"};
  return std::make_unique<int>(7);
}

TEST(Result, a_value_can_be_moved_out) {
  auto result = make(true);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(**result, 7);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

TEST(Result, an_error_keeps_code_message_and_hint) {
  const auto result = make(false);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(result.error().message, "no number");
  EXPECT_EQ(result.error().hint, "make one");
}

TEST(Result, the_members_of_a_value_are_reached_by_arrow) {
  const Result<std::string> text = std::string("fine");
  EXPECT_TRUE(text.ok());
  EXPECT_EQ(text->size(), 4u);
}

TEST(Result, a_status_is_good_unless_an_error_was_given) {
  EXPECT_TRUE(Status().ok());
  const Status failed = Error{ErrorCode::kInternal, "broken"};
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "broken");
}

}  // namespace
}  // namespace spillway

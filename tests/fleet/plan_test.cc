#include "fleet/plan.h"

#include <gtest/gtest.h>

namespace spillway::fleet {
namespace {

TEST(ThreadsBeside, one_engine_decides_for_itself_and_several_share_the_processors) {
  const config::Backend free;
  EXPECT_EQ(threads_beside(free, 16, 1), 0);
  EXPECT_EQ(threads_beside(free, 16, 2), 8);
  EXPECT_EQ(threads_beside(free, 16, 5), 3);
  EXPECT_EQ(threads_beside(free, 2, 3), 1);
  EXPECT_EQ(threads_beside(free, 0, 3), 0);  // nobody knows how many there are
  config::Backend bounded;
  bounded.cpus = 1.5;
  EXPECT_EQ(threads_beside(bounded, 16, 1), 2);
  EXPECT_EQ(threads_beside(bounded, 16, 8), 2);
}

}  // namespace
}  // namespace spillway::fleet

#include "base/ids.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace spillway {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

TEST(Ids, a_request_id_has_a_prefix_and_24_hexadecimal_digits) {
  for (int i = 0; i < 100; ++i) {
    const std::string id = new_request_id();
    ASSERT_EQ(id.size(), 28u);
    EXPECT_EQ(id.substr(0, 4), "req_");
    EXPECT_EQ(id.find_first_not_of(kHexDigits, 4), std::string::npos) << id;
  }
}

TEST(Ids, request_ids_of_several_threads_do_not_meet) {
  std::vector<std::vector<std::string>> made(4);
  std::vector<std::thread> threads;
  threads.reserve(made.size());
  for (auto& ids : made) {
    threads.emplace_back([&ids] {
      for (int i = 0; i < 5000; ++i) ids.push_back(new_request_id());
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<std::string> all;
  for (const auto& ids : made) all.insert(ids.begin(), ids.end());
  EXPECT_EQ(all.size(), 20'000u);
}

TEST(Ids, a_secret_has_two_digits_for_each_byte_and_is_new_each_time) {
  EXPECT_EQ(random_secret(0), "");
  const std::string one = random_secret(32);
  EXPECT_EQ(one.size(), 64u);
  EXPECT_EQ(one.find_first_not_of(kHexDigits), std::string::npos);
  EXPECT_NE(one, random_secret(32));
}

TEST(Ids, random_numbers_use_all_64_bits) {
  std::uint64_t ones = 0;
  std::uint64_t zeros = 0;
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t value = random_u64();
    ones |= value;
    zeros |= ~value;
  }
  EXPECT_EQ(ones, ~std::uint64_t{0});
  EXPECT_EQ(zeros, ~std::uint64_t{0});
}

}  // namespace
}  // namespace spillway

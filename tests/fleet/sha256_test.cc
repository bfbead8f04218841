#include "fleet/models/sha256.h"

#include <gtest/gtest.h>

namespace spillway::fleet {
namespace {

std::string digest_of(std::string_view text) {
  Sha256 sha256;
  sha256.update(text.data(), text.size());
  return sha256.finish();
}

// FIPS 180-2, appendix B.
TEST(Sha256, gives_the_published_digests) {
  EXPECT_EQ(digest_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_of(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, pieces_count_as_the_whole) {
  Sha256 sha256;
  sha256.update("a", 1);
  sha256.update("", 0);
  sha256.update("bc", 2);
  EXPECT_EQ(sha256.finish(), digest_of("abc"));
}

TEST(Sha256, knows_a_digest_by_its_form) {
  EXPECT_TRUE(is_sha256_hex(std::string(64, 'a')));
  EXPECT_FALSE(is_sha256_hex(std::string(63, 'a')));
  EXPECT_FALSE(is_sha256_hex(std::string(64, 'A')));
  EXPECT_FALSE(is_sha256_hex(std::string(62, 'a') + "/."));
}

}  // namespace
}  // namespace spillway::fleet

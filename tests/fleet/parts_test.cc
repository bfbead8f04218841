#include "fleet/pull/parts.h"

#include <gtest/gtest.h>

#include "fleet/pull/download.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

std::string digest_of(std::string_view text) {
  Sha256 hash;
  hash.update(text.data(), text.size());
  return hash.finish();
}

// Three parts of "0123456789": one whole, one begun, one not.
Parts begun() {
  Parts parts = make_parts(10, 4);
  parts.validator = "\"v1\"";
  parts.all[0].received = 4;
  parts.all[0].digest = digest_of("0123");
  parts.all[1].received = 2;
  parts.all[1].hash.emplace();
  parts.all[1].hash->update("45", 2);
  return parts;
}

TEST(Parts, cover_the_file_once) {
  for (const std::uint64_t size : {1u, 3u, 4u, 5u, 8u, 9u}) {
    const Parts parts = make_parts(size, 4);
    std::uint64_t next = 0;
    for (const Part& part : parts.all) {
      EXPECT_EQ(part.offset, next);
      EXPECT_GT(part.size, 0u);
      next += part.size;
    }
    EXPECT_EQ(next, size);
  }
}

TEST(Parts, are_neither_tiny_nor_huge) {
  EXPECT_EQ(part_size_for(1), kLeastPart);
  EXPECT_EQ(part_size_for(98'362'432), kLeastPart);
  EXPECT_EQ(part_size_for(std::uint64_t{4} << 30), std::uint64_t{64} << 20);
  EXPECT_EQ(part_size_for(std::uint64_t{400} << 30), kLargestPart);
}

TEST(Parts, go_on_from_what_was_written_down) {
  testing::TemporaryFolder folder;
  const auto file = folder.write("file", std::string("012345\0\0\0\0", 10));
  std::optional<Parts> read = parts_from_json(parts_to_json(begun()), 10);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->validator, "\"v1\"");
  EXPECT_EQ(read->received(), 6u);
  EXPECT_EQ(*check_on_disk(*read, file), 0u);
  ASSERT_TRUE(read->all[1].hash);
  read->all[1].hash->update("67", 2);
  EXPECT_EQ(read->all[1].hash->finish(), digest_of("4567"));
}

TEST(Parts, that_the_disk_did_not_keep_are_forgotten) {
  testing::TemporaryFolder folder;
  std::optional<Parts> read = parts_from_json(parts_to_json(begun()), 10);
  ASSERT_TRUE(read);
  EXPECT_EQ(*check_on_disk(*read, folder.write("flipped", "0193456789")), 1u);
  EXPECT_EQ(read->all[0].received, 0u);
  EXPECT_EQ(read->all[1].received, 2u);
  EXPECT_EQ(*check_on_disk(*read, folder.write("short", "01234")), 1u);
  EXPECT_EQ(read->received(), 0u);
}

TEST(Parts, of_a_broken_journal_are_none) {
  const std::string good = parts_to_json(begun());
  EXPECT_TRUE(parts_from_json(good, std::nullopt));
  EXPECT_FALSE(parts_from_json(good, 11));
  for (std::size_t cut = 0; cut + 2 < good.size(); ++cut) EXPECT_FALSE(parts_from_json(good.substr(0, cut), 10)) << cut;
  for (const char* text :
       {"[]", R"({"size":0,"part_size":4,"validator":"","parts":{}})",
        R"({"size":10,"part_size":0,"validator":"","parts":{}})",
        R"({"size":10,"part_size":4,"validator":7,"parts":{}})",
        R"({"size":10,"part_size":4,"validator":"","parts":[]})",
        R"({"size":10,"part_size":4,"validator":"","parts":{"0":{"received":5,"sha256":""}}})",
        R"({"size":10,"part_size":4,"validator":"","parts":{"0":{"received":4,"sha256":"../../etc"}}})",
        R"({"size":18446744073709551615,"part_size":1,"validator":"","parts":{}})"}) {
    EXPECT_FALSE(parts_from_json(text, std::nullopt)) << text;
  }
}

TEST(Parts, verify_tells_the_whole_and_what_is_wrong) {
  testing::TemporaryFolder folder;
  Parts parts = make_parts(6, 4);
  parts.all[0] = {0, 4, 4, digest_of("0123"), {}};
  parts.all[1] = {4, 2, 2, digest_of("45"), {}};
  const auto right = verify(parts, folder.write("right", "012345"));
  EXPECT_EQ(right->digest, digest_of("012345"));
  EXPECT_EQ(right->bad, 0u);
  EXPECT_EQ(verify(parts, folder.write("wrong", "0123x5"))->bad, 1u);
  EXPECT_TRUE(parts.all[0].whole());
  EXPECT_EQ(parts.all[1].received, 0u);
}

TEST(Download, knows_the_range_that_it_asked_for) {
  EXPECT_TRUE(is_content_range("bytes 0-4/10", 0, 4, 10));
  EXPECT_TRUE(is_content_range("bytes 0-4/*", 0, 4, 10));
  for (const char* other : {"", "bytes 0-5/10", "bytes 1-4/10", "bytes 0-4/11", "bytes 0-4/", "bytes 0-4", "0-4/10",
                            "bytes 0-4/1e1", "bytes 0-4/99999999999999999999"}) {
    EXPECT_FALSE(is_content_range(other, 0, 4, 10)) << other;
  }
}

// RFC 9530, appendix D: {"hello": "world"} and a line feed.
TEST(Download, compares_a_content_digest) {
  const std::string hex = digest_of("{\"hello\": \"world\"}\n");
  EXPECT_FALSE(digest_contradicts("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:", hex));
  EXPECT_FALSE(digest_contradicts("", hex));
  EXPECT_FALSE(digest_contradicts("sha-512=:AAAA:", hex));
  EXPECT_TRUE(digest_contradicts("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDh=:", hex));
}

TEST(Web, the_last_answer_of_a_row_counts) {
  web::Head head;
  for (const char* line :
       {"HTTP/1.1 302 Found\r\n", "ETag: \"a\"\r\n", "HTTP/2 206\r\n", "Content-Type: Text/HTML; charset=x\r\n",
        "last-modified: yesterday\r\n", "etag: W/\"weak\"\r\n", "\r\n"}) {
    web::read_header_line(line, head);
  }
  EXPECT_EQ(head.status, 206);
  EXPECT_EQ(head.content_type, "text/html");
  EXPECT_EQ(head.validator, "yesterday");
}

TEST(Web, shows_a_url_without_what_may_be_secret) {
  EXPECT_EQ(web::shown("https://user:pass@host/a?token=x#y"), "https://host/a");
  EXPECT_EQ(web::shown("https://host/a@b"), "https://host/a@b");
}

}  // namespace
}  // namespace spillway::fleet

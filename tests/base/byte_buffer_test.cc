#include "base/byte_buffer.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway {
namespace {

void append(ByteBuffer& buffer, std::string_view text) {
  std::memcpy(buffer.prepare(text.size()).data(), text.data(), text.size());
  buffer.commit(text.size());
}

TEST(ByteBuffer, what_it_holds_survives_growth) {
  ByteBuffer buffer;
  std::string all;
  for (int i = 0; i < 3000; ++i) {
    const std::string piece = std::to_string(i) + ",";
    append(buffer, piece);
    all += piece;
  }
  EXPECT_EQ(buffer.view(0, buffer.end()), all);
  EXPECT_GE(buffer.capacity(), all.size());
}

TEST(ByteBuffer, padding_behind_the_capacity_is_readable_and_zero) {
  ByteBuffer buffer;
  for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{4097}, std::size_t{100'000}}) {
    buffer.prepare(size);
    for (std::size_t i = 0; i < ByteBuffer::kPadding; ++i) EXPECT_EQ(buffer.data()[buffer.capacity() + i], 0);
  }
}

TEST(ByteBuffer, drop_front_moves_the_rest_to_the_beginning) {
  ByteBuffer buffer;
  append(buffer, "head|tail");
  buffer.drop_front(5);
  EXPECT_EQ(buffer.view(0, buffer.end()), "tail");
  buffer.drop_front(0);
  EXPECT_EQ(buffer.view(0, buffer.end()), "tail");
  buffer.drop_front(4);
  EXPECT_EQ(buffer.end(), 0u);
}

TEST(ByteBuffer, spare_does_not_grow_and_prepare_gives_what_was_asked_for) {
  ByteBuffer buffer;
  EXPECT_TRUE(buffer.spare().empty());
  EXPECT_GE(buffer.prepare(10'000).size(), 10'000u);
  append(buffer, std::string(9'999, 'x'));
  const std::size_t capacity = buffer.capacity();
  EXPECT_EQ(buffer.spare().size(), capacity - 9'999);
  EXPECT_EQ(buffer.capacity(), capacity);
}

TEST(ByteBuffer, shrink_gives_a_large_block_back_only_when_empty) {
  ByteBuffer buffer;
  append(buffer, std::string(50'000, 'x'));
  buffer.shrink(1024);
  EXPECT_EQ(buffer.end(), 50'000u);
  buffer.truncate(0);
  buffer.shrink(buffer.capacity());
  EXPECT_GT(buffer.capacity(), 0u);
  buffer.shrink(1024);
  EXPECT_EQ(buffer.capacity(), 0u);
  append(buffer, "again");
  EXPECT_EQ(buffer.view(0, buffer.end()), "again");
}

}  // namespace
}  // namespace spillway

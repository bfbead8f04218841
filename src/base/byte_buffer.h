// Bytes that are read in at the end and taken from the front.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace spillway {

// One contiguous block with kPadding spare bytes behind its capacity, so that simdjson may read
// past the end of what it holds. Offsets count from the block's start and stay right when it grows.
class ByteBuffer {
 public:
  static constexpr std::size_t kPadding = 64;  // SIMDJSON_PADDING, asserted where it is used

  [[nodiscard]] char* data() { return block_.get(); }
  [[nodiscard]] const char* data() const { return block_.get(); }
  [[nodiscard]] std::size_t end() const { return end_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] std::string_view view(std::size_t from, std::size_t to) const {
    return {block_.get() + from, to - from};
  }

  // Room of at least `bytes` behind end(); moves the block when it has to grow.
  std::span<char> prepare(std::size_t bytes) {
    if (capacity_ - end_ < bytes) grow(end_ + bytes);
    return {block_.get() + end_, capacity_ - end_};
  }
  // What there is without growing; may be empty.
  std::span<char> spare() { return {block_.get() + end_, capacity_ - end_}; }
  void commit(std::size_t bytes) { end_ += bytes; }
  void truncate(std::size_t end) { end_ = end; }

  // Drops [0, count): what follows moves to the front.
  void drop_front(std::size_t count) {
    if (count == 0) return;
    std::memmove(block_.get(), block_.get() + count, end_ - count);
    end_ -= count;
  }

  // Gives the block back when it is larger than `keep`; only while it is empty.
  void shrink(std::size_t keep) {
    if (end_ == 0 && capacity_ > keep) {
      block_.reset();
      capacity_ = 0;
    }
  }

 private:
  void grow(std::size_t needed) {
    std::size_t next = capacity_ == 0 ? 4096 : capacity_ * 2;
    while (next < needed) next *= 2;
    auto block = std::make_unique_for_overwrite<char[]>(next + kPadding);
    if (end_ > 0) std::memcpy(block.get(), block_.get(), end_);
    std::memset(block.get() + next, 0, kPadding);
    block_ = std::move(block);
    capacity_ = next;
  }

  std::unique_ptr<char[]> block_;
  std::size_t capacity_ = 0;
  std::size_t end_ = 0;
};

}  // namespace spillway

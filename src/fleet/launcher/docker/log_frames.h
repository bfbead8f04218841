// The output of a container without a terminal: frames of 8 bytes {stream, 0, 0, 0, length as big-endian 32 bits} and
// so much text. https://docs.docker.com/reference/api/engine/, ContainerAttach, "Stream format".
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace spillway::fleet::docker {

class LogFrames {
 public:
  // Pieces may be cut anywhere; `take` gets the text of both streams in the order in which it comes.
  template <class Take>
  void feed(std::string_view piece, Take take) {
    while (!piece.empty()) {
      if (left_ == 0) {
        header_[have_++] = static_cast<unsigned char>(piece.front());
        piece.remove_prefix(1);
        if (have_ < header_.size()) continue;
        have_ = 0;
        for (std::size_t i = 4; i < header_.size(); ++i) left_ = left_ << 8U | header_[i];
        continue;
      }
      const std::string_view text = piece.substr(0, left_);
      take(text);
      left_ -= static_cast<std::uint32_t>(text.size());
      piece.remove_prefix(text.size());
    }
  }

 private:
  std::array<unsigned char, 8> header_{};
  std::size_t have_ = 0;
  std::uint32_t left_ = 0;  // bytes of the frame's text that have not come
};

}  // namespace spillway::fleet::docker

// The JSON parser of this thread. Only for sources: simdjson.h is slow to compile.
#pragma once

#include <simdjson.h>

#include <cstddef>

namespace spillway::api {

// simdjson's parser keeps room for the largest document that it has seen, about 5.7 times its size: 190 MB after one of
// 32 MiB, in each thread. So one that has grown beyond kKept is given back when its use ends. Declared before the
// document, so that it outlives it; uses must not be nested.
class ThreadParser {
 public:
  static constexpr std::size_t kKept = 1u << 20;  // bytes of document

  ThreadParser() = default;
  ~ThreadParser() {
    if (parser().capacity() > kKept) parser() = simdjson::ondemand::parser();
  }
  ThreadParser(const ThreadParser&) = delete;
  ThreadParser& operator=(const ThreadParser&) = delete;

  simdjson::ondemand::parser& operator*() { return parser(); }
  simdjson::ondemand::parser* operator->() { return &parser(); }

  // Bytes of document that this thread's parser has room for.
  static std::size_t capacity() { return parser().capacity(); }

 private:
  static simdjson::ondemand::parser& parser() {
    thread_local simdjson::ondemand::parser instance;
    return instance;
  }
};

}  // namespace spillway::api

// The JSON parsers of this thread. Only for sources: simdjson.h is slow to compile.
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>

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

// Where things stand in a JSON text: each mark, and where each text, number and word begins. simdjson's first stage,
// which is what is fast in it (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 3.1); it checks UTF-8, and
// that each text is closed and has no control character. One for each thread; room as ThreadParser keeps it.
class ThreadStructure {
 public:
  static constexpr std::size_t kKept = ThreadParser::kKept;
  static constexpr std::size_t kMost = std::numeric_limits<std::uint32_t>::max() / 2;  // bytes

  ThreadStructure() = default;
  ~ThreadStructure() {
    if (instance() && instance()->capacity() > kKept) instance().reset();
  }
  ThreadStructure(const ThreadStructure&) = delete;
  ThreadStructure& operator=(const ThreadStructure&) = delete;

  // False: it is no JSON, or larger than kMost.
  bool find(std::string_view text) {
    if (text.empty() || text.size() > kMost) return false;
    auto& parser = instance();
    if (!parser || parser->capacity() < text.size()) {
      constexpr std::size_t kLeast = 4096;
      parser.reset();
      if (simdjson::get_active_implementation()->create_dom_parser_implementation(std::max(text.size(), kLeast), 1,
                                                                                  parser))
        return false;
    }
    return !parser->stage1(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                           simdjson::stage1_mode::regular);
  }
  [[nodiscard]] std::span<const std::uint32_t> view() const {
    return {instance()->structural_indexes.get(), instance()->n_structural_indexes};
  }

  // Bytes of document that this thread has room for.
  static std::size_t capacity() { return instance() ? instance()->capacity() : 0; }

 private:
  static std::unique_ptr<simdjson::internal::dom_parser_implementation>& instance() {
    thread_local std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
    return parser;
  }
};

}  // namespace spillway::api

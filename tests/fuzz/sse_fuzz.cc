// Events found in a stream that comes whole and in one that comes in pieces are the same.
#include "http/sse.h"
#include "pieces.h"

namespace {

using spillway::fuzz::require;

struct Event {
  std::string type;
  std::string data;
  bool operator==(const Event&) const = default;
};

std::vector<Event> read(const std::vector<std::string_view>& pieces) {
  spillway::http::SseScanner scanner;
  std::string text;
  std::string scratch;
  std::size_t begin = 0;
  std::vector<Event> events;
  for (const std::string_view piece : pieces) {
    text += piece;
    while (const std::size_t length = scanner.next(std::string_view(text).substr(begin))) {
      require(length <= text.size() - begin);
      std::string_view event_text = std::string_view(text).substr(begin, length);
      if (begin == 0) event_text = spillway::http::without_byte_order_mark(event_text);
      const auto event = spillway::http::parse_sse_event(event_text, scratch);
      // An empty line more or less tells nothing: CRLF that was split, blank lines between events.
      if (event.has_data) events.push_back({std::string(event.type), std::string(event.data)});
      begin += length;
    }
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = spillway::fuzz::view(data, size);
  const auto whole = read({text});
  require(whole == read(spillway::fuzz::split(text, spillway::fuzz::seed_of(data, size))));
  for (const Event& event : whole)
    require(event.type.find('\n') == std::string::npos && event.data.find('\r') == std::string::npos);
  return 0;
}

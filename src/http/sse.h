// Server-sent events (WHATWG HTML, 9.2): finding where events end, and what they say.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spillway::http {

// Finds event boundaries in a growing text, looking at each byte once. Lines may end in LF, CR or
// CRLF, mixed. Pure.
class SseScanner {
 public:
  // `text` begins where the current event begins and may have grown since the last call. Returns
  // the length of the event with its empty line; 0 while it is not whole. After a return of n > 0
  // the next call has to begin n bytes further on.
  std::size_t next(std::string_view text);

 private:
  std::size_t line_ = 0;     // where the current line begins
  std::size_t scanned_ = 0;  // up to here there is no line end in the current line
  bool after_cr_ = false;    // the last event ended in CR: an LF that follows belongs to it
};

struct SseEvent {
  std::string_view type;  // the `event` field; empty: "message"
  std::string_view data;  // `data` lines joined by LF
  bool has_data = false;
};

// A stream may begin with a byte order mark, which is not part of its first event. Anywhere else one is
// part of a field's name.
inline std::string_view without_byte_order_mark(std::string_view first_event) {
  return first_event.starts_with("\xEF\xBB\xBF") ? first_event.substr(3) : first_event;
}

// The fields of one event as SseScanner found it. Views into `text`, or into `scratch` where
// several data lines had to be joined. Comments and other fields are skipped.
SseEvent parse_sse_event(std::string_view text, std::string& scratch);

}  // namespace spillway::http

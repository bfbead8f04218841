// A stream in any Format is read without harm, and what is written of it in any other is well-formed.
#include "attempt/events.h"
#include "base/byte_buffer.h"
#include "pieces.h"

using spillway::attempt::EventScanner;
using spillway::fuzz::require;
using namespace spillway::api;

namespace {

constexpr Endpoint kRead[] = {Endpoint::kChat, Endpoint::kCompletions, Endpoint::kMessages, Endpoint::kOllamaChat,
                              Endpoint::kOllamaGenerate};
constexpr Endpoint kWritten[] = {Endpoint::kChat,     Endpoint::kCompletions, Endpoint::kResponses,
                                 Endpoint::kMessages, Endpoint::kOllamaChat,  Endpoint::kOllamaGenerate};

// Calls `f` with the data of each event; it has padding behind it.
template <typename F>
void for_each_event(const Format& format, std::string_view text, const F& f) {
  EventScanner scanner(format.framing());
  std::string scratch;
  std::string padded;
  while (const std::size_t length = scanner.next(text)) {
    const spillway::http::SseEvent event = scanner.parse(text.substr(0, length), scratch);
    text.remove_prefix(length);
    if (!event.has_data) continue;
    padded.assign(event.data).append(spillway::ByteBuffer::kPadding, '"');
    f(event.type, std::string_view(padded).substr(0, event.data.size()));
  }
  require(text.empty() || scanner.next(text) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = spillway::fuzz::view(data, size);
  for (const Endpoint endpoint : kRead) {
    const Format& from = format_of(endpoint);
    StreamFacts facts;
    Parts parts;
    const auto reader = from.reader();
    Assembler same(from.rules());
    for_each_event(from, text, [&](std::string_view type, std::string_view event) {
      const Chunk chunk = reader->read(type, event, facts, &parts);
      (void)from.missing_before(chunk, facts);
      same.add(event);
    });
    JsonTree assembled;
    require(assembled.parse(same.answer()));
    from.read_answer(text, &parts);
    for (const Endpoint other : kWritten) {
      const Format& to = format_of(other);
      WriterSettings settings;
      settings.id = "id";
      settings.request_body = "{}";
      const auto writer = to.writer(settings);
      std::string out;
      for (const Part& part : parts) writer->append(out, part);
      writer->end(out);
      Assembler assembler(to.rules());
      JsonTree tree;
      for_each_event(to, out, [&](std::string_view, std::string_view event) {
        require(event == "[DONE]" || tree.parse(event));
        assembler.add(event);
      });
      require(tree.parse(assembler.answer()));
    }
  }
  return 0;
}

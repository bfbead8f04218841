#include "api/format.h"

#include "api/openai/chat_format.h"

namespace spillway::api {

std::string Format::missing_before(const Chunk&, const StreamFacts&) const { return {}; }

const Format& format_of(Endpoint endpoint) {
  static const openai::ChatFormat kChat;
  switch (endpoint) {
    default: return kChat;
  }
}

}  // namespace spillway::api

// A request fed whole and fed in pieces comes to the same; its parts lie within what was fed.
#include "../http/feeding.h"
#include "pieces.h"

namespace {

using namespace spillway::http;
using spillway::fuzz::require;

void check(std::string_view text, ParserLimits limits) {
  const auto whole = testing::read_request({text}, limits);
  const auto pieces = testing::read_request(
      spillway::fuzz::split(text,
                            spillway::fuzz::seed_of(reinterpret_cast<const std::uint8_t*>(text.data()), text.size())),
      limits);
  require(whole.status == pieces.status);
  if (whole.status == ParseStatus::kError) {
    // Which of two faults is met first may differ; that it is refused may not.
    require(whole.code >= 400 && whole.code < 600 && !whole.what.empty());
    require(pieces.code >= 400 && pieces.code < 600);
    return;
  }
  require(whole == pieces);
  if (whole.status != ParseStatus::kComplete) return;
  require(whole.body.size() <= limits.max_body);
  require(whole.head.find('\0') == std::string::npos && whole.head.find('\r') == std::string::npos);
  require(text.ends_with(whole.behind));
  // What is behind a request does not change it.
  const std::string_view alone = text.substr(0, text.size() - whole.behind.size());
  auto again = testing::read_request({alone}, limits);
  again.behind = whole.behind;
  require(again == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = spillway::fuzz::view(data, size);
  check(text, {});
  ParserLimits tight;
  tight.max_header = 64;
  tight.max_body = 16;
  tight.max_fields = 4;
  check(text, tight);
  return 0;
}

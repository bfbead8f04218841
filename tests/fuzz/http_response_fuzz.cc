// A response fed whole, fed in pieces, and read as a stream whose body is used up comes to the same.
#include "../http/feeding.h"
#include "pieces.h"

namespace {

using namespace spillway::http;
using spillway::fuzz::require;
using spillway::fuzz::split;

// The body as a relay reads it: consumed as it comes, at times but for a part.
std::string streamed(const std::vector<std::string_view>& pieces, ParseStatus& status) {
  ResponseParser parser(ParserLimits{});
  spillway::ByteBuffer buffer;
  std::string body;
  status = ParseStatus::kNeedMore;
  std::size_t turn = 0;
  for (const std::string_view piece : pieces) {
    testing::append(buffer, piece);
    if (status != ParseStatus::kNeedMore) continue;
    status = parser.feed(buffer);
    if (status == ParseStatus::kError || !parser.head_done()) continue;
    const std::string_view got = buffer.view(parser.body_begin(), parser.body_end());
    const std::size_t use = ++turn % 3 == 0 ? got.size() / 2 : got.size();
    body += got.substr(0, use);
    parser.consume_body(buffer, use);
  }
  if (status == ParseStatus::kNeedMore) status = parser.finish();
  if (status == ParseStatus::kComplete) body += buffer.view(parser.body_begin(), parser.body_end());
  return body;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = spillway::fuzz::view(data, size);
  const auto pieces = split(text, spillway::fuzz::seed_of(data, size));
  for (const bool ended : {false, true}) {
    const auto whole = testing::read_response({text}, ended);
    const auto parts = testing::read_response(pieces, ended);
    require(whole.status == parts.status);
    if (whole.status == ParseStatus::kError) {
      require(whole.code >= 400 && whole.code < 600 && !whole.what.empty());
      continue;
    }
    require(whole == parts);
  }
  const auto whole = testing::read_response({text}, true);
  ParseStatus status{};
  const std::string body = streamed(pieces, status);
  require(status == whole.status);
  if (status == ParseStatus::kComplete) require(body == whole.body);
  return 0;
}

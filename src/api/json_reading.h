// Small questions to simdjson's values, for the readers of answers. Only for sources: simdjson.h is slow to compile.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

#include "api/stream.h"
#include "api/thread_parser.h"

namespace spillway::api {

// A text other than "", a list or an object that holds something. By its JSON text: a text may begin with half a
// surrogate pair, whose other half comes with the next delta.
bool carries_something(simdjson::ondemand::value value);

bool is_null(simdjson::ondemand::value value);

// The value of a member `error`: an object, or a text.
UpstreamError error_of(simdjson::ondemand::value value);

// null, "", {}, [], false: some servers send one with every good chunk.
bool is_void_error(simdjson::ondemand::value value);

// `text` needs ByteBuffer::kPadding readable bytes behind it.
bool open_object(ThreadParser& parser, std::string_view text, simdjson::ondemand::document& document,
                 simdjson::ondemand::object& object);

std::string_view without_white_space_behind(std::string_view text);

}  // namespace spillway::api

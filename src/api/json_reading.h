// Small questions to what others wrote, for the readers of answers.
#pragma once

#include <string_view>

#include "api/json_tree.h"
#include "api/stream.h"

namespace spillway::api {

// A text other than "", a list or an object that holds something.
inline bool carries_something(JsonTree::Value value) { return !value.escaped().empty() || !value.empty(); }

// The value of a member `error`: an object, or a text. Or the object that has such members itself.
UpstreamError error_of(JsonTree::Value value);

// null, "", {}, [], false, or nothing at all: some servers send one with every good chunk.
bool is_void_error(JsonTree::Value value);

std::string_view without_white_space_behind(std::string_view text);

}  // namespace spillway::api

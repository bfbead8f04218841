// Changing a few places of a JSON text, and leaving all else as it is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "api/conversation.h"

namespace spillway::api {

// One place of a body where something else goes.
struct Edit {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string text;
};

// `body` with `edits`, which must not overlap, as pieces; both have to outlive the result.
std::vector<std::string_view> splice(std::string_view body, std::vector<Edit>& edits);

// Sets a member of `body`, an object that ends at `object_end`, to `value` (JSON text): `name` at the top, or in the
// object `object` there. Whatever else is set stays. `body` needs ByteBuffer::kPadding readable bytes behind it.
Edit member_edit(std::string_view body, std::size_t object_end, std::string_view object, std::string_view name,
                 std::string_view value);

// Changes the ids of tool calls in `body`, a request in the Dialect of the Backend that it goes to, to such as it
// takes; of calls and of their results alike.
void append_call_id_edits(std::string_view body, CallIds wanted, std::vector<Edit>& edits);

}  // namespace spillway::api

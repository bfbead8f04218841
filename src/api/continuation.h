// Asking a Backend to go on with an answer.
#pragma once

#include <vector>

#include "api/chat_request.h"
#include "api/resumption.h"

namespace spillway::api {

// What has to change in the body of `request`. The Dialects add a message alike; a prompt that is no list of messages
// is gone on with in any form.
std::vector<Edit> continuation_edits(const ChatRequest& request, const Resumption& resumption);

}  // namespace spillway::api

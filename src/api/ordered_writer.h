// Tool calls one after the other, for Dialects that cannot interleave them.
#pragma once

#include <memory>

#include "api/format.h"

namespace spillway::api {

// `writer` gets the first call as it comes; what comes behind its beginning and is no part of it is kept until the
// answer is finished (calls are held so long anyway), each call whole. A call without arguments has "{}".
std::unique_ptr<StreamWriter> in_order(std::unique_ptr<StreamWriter> writer);

// For a Dialect that tells calls apart by their index: only the arguments are seen to.
std::unique_ptr<StreamWriter> with_arguments(std::unique_ptr<StreamWriter> writer);

}  // namespace spillway::api

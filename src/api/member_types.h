// Which kinds of values may stand in a request's members.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::api {

// Kinds of JSON values, to be joined by |. Numbers are of any size: it is the Backend's affair what fits.
enum : std::uint8_t { kText = 1, kNumber = 2, kWhole = 4, kFlag = 8, kList = 16, kObject = 32 };

// Whether the JSON text `token` is of one of the kinds, or null.
bool is_of(std::string_view token, std::uint8_t kinds);

// Empty: `token` may be the value of the member `key`. Otherwise what may: "a string or an array".
std::string why_not(std::string_view key, std::string_view token);

}  // namespace spillway::api

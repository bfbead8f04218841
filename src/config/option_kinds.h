// The kinds of options that a section may have: each reads one type of value, tells what is wrong with it and
// prints it. Only for the sources of schemas.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/text.h"
#include "config/reader.h"
#include "config/values.h"

namespace spillway::config {

using Kind = Value::Kind;

// Each maker takes `get`, which gives the field of a struct by reference, constant or not.

template <class T, class Get>
Option<T> duration(std::string key, Get get, milliseconds least, std::string about) {
  Option<T> option{std::move(key), "duration", std::move(about), {}, {}};
  option.read = [get, least, name = option.key](const Value& value, T& out, Problems& problems) {
    const std::string example = name + " = \"10s\" (ms, s, m or h)";
    if (value.kind != Kind::kString) return add_wrong_kind(problems, value, "a duration in quotes", example);
    const auto parsed = parse_duration(value.text);
    if (!parsed) {
      problems.add(value.place, excerpt(value.text) + " is not a duration",
                   "a whole number and a unit, as in: " + example);
    } else if (*parsed < least) {
      problems.add(value.place, name + " has to be at least " + print_duration(least), "as in: " + example);
    } else {
      get(out) = *parsed;
    }
  };
  option.print = [get](const T& from) -> std::string {
    const std::optional<milliseconds> set = get(from);
    return set ? "\"" + print_duration(*set) + "\"" : "";
  };
  return option;
}

template <class T, class Get>
Option<T> size(std::string key, Get get, std::uint64_t least, std::string about) {
  Option<T> option{std::move(key), "size", std::move(about), {}, {}};
  option.read = [get, least, name = option.key](const Value& value, T& out, Problems& problems) {
    const std::string example = name + " = \"8MiB\" (B, KiB, MiB, GiB, kB, MB or GB)";
    if (value.kind != Kind::kString) return add_wrong_kind(problems, value, "a size in quotes", example);
    const auto parsed = parse_size(value.text);
    if (!parsed) {
      problems.add(value.place, excerpt(value.text) + " is not a size", "a whole number and a unit, as in: " + example);
    } else if (*parsed < least) {
      problems.add(value.place, name + " has to be at least " + print_size(least), "as in: " + example);
    } else {
      get(out) = *parsed;
    }
  };
  option.print = [get](const T& from) { return "\"" + print_size(get(from)) + "\""; };
  return option;
}

template <class T, class Get>
Option<T> integer(std::string key, Get get, std::int64_t least, std::int64_t most, std::string about) {
  Option<T> option{std::move(key), "whole number", std::move(about), {}, {}};
  option.read = [get, least, most, name = option.key](const Value& value, T& out, Problems& problems) {
    if (value.kind != Kind::kInteger) {
      return add_wrong_kind(problems, value, "a whole number",
                            name + " = " + std::to_string(std::max<std::int64_t>(least, 1)));
    }
    if (value.integer < least || value.integer > most) {
      problems.add(value.place, name + " has to be from " + std::to_string(least) + " to " + std::to_string(most));
    } else {
      get(out) = static_cast<std::remove_reference_t<decltype(get(out))>>(value.integer);
    }
  };
  option.print = [get](const T& from) { return std::to_string(get(from)); };
  return option;
}

inline std::string print_number(double number) {
  std::string text = std::to_string(number);
  while (text.ends_with("0") && !text.ends_with(".0")) text.pop_back();
  return text;
}

template <class T, class Get>
Option<T> number(std::string key, Get get, std::string about) {
  Option<T> option{std::move(key), "number", std::move(about), {}, {}};
  option.read = [get, name = option.key](const Value& value, T& out, Problems& problems) {
    if (value.kind != Kind::kInteger && value.kind != Kind::kFloat)
      return add_wrong_kind(problems, value, "a number", name + " = 1.5");
    // Six decimals are kept, so that what is printed reads back alike.
    const double rounded = std::round(value.number * 1e6) / 1e6;
    if (!(rounded >= 0 && rounded <= 1e6)) {
      problems.add(value.place, name + " has to be from 0 to 1000000");
    } else {
      get(out) = rounded;
    }
  };
  option.print = [get](const T& from) -> std::string {
    const std::optional<double> set = get(from);
    return set ? print_number(*set) : "";
  };
  return option;
}

// A number from 0 to 1.
template <class T, class Get>
Option<T> share(std::string key, Get get, std::string about) {
  Option<T> option = number<T>(key, get, std::move(about));
  option.type = "0 to 1";
  option.read = [read = option.read, name = option.key](const Value& value, T& out, Problems& problems) {
    const bool is_number = value.kind == Kind::kInteger || value.kind == Kind::kFloat;
    if (is_number && !(value.number >= 0 && value.number <= 1))
      return problems.add(value.place, name + " is a share, from 0 to 1", "as in: " + name + " = 0.187");
    read(value, out, problems);
  };
  return option;
}

template <class T, class Get>
Option<T> boolean(std::string key, Get get, std::string about) {
  Option<T> option{std::move(key), "true or false", std::move(about), {}, {}};
  option.read = [get, name = option.key](const Value& value, T& out, Problems& problems) {
    if (value.kind != Kind::kBoolean)
      return add_wrong_kind(problems, value, "true or false, without quotes", name + " = true");
    get(out) = value.boolean;
  };
  option.print = [get](const T& from) -> std::string { return get(from) ? "true" : "false"; };
  return option;
}

template <class T, class Get>
Option<T> text(std::string key, Get get, std::string type, std::string about) {
  Option<T> option{std::move(key), std::move(type), std::move(about), {}, {}};
  option.read = [get, name = option.key](const Value& value, T& out, Problems& problems) {
    if (value.kind != Kind::kString) return add_wrong_kind(problems, value, "a string", name + " = \"…\"");
    for (const char c : value.text) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
        return problems.add(value.place, name + " holds a control character");
    }
    get(out) = value.text;
  };
  option.print = [get](const T& from) -> std::string { return get(from).empty() ? "" : toml_string(get(from)); };
  return option;
}

// A list of strings; `why_not` says what is wrong with one, or nothing.
template <class T, class Get>
Option<T> texts(std::string key, Get get, std::string item, std::function<std::string(std::string_view)> why_not,
                std::string about) {
  Option<T> option{std::move(key), "list of strings", std::move(about), {}, {}};
  option.read = [get, why_not, example = option.key + " = [\"" + item + "\"]"](const Value& value, T& out,
                                                                               Problems& problems) {
    if (value.kind != Kind::kArray) return add_wrong_kind(problems, value, "a list of strings", example);
    for (const Value& one : value.items) {
      if (one.kind != Kind::kString) {
        add_wrong_kind(problems, one, "a string", example);
      } else if (const std::string why = why_not(one.text); !why.empty()) {
        problems.add(one.place, excerpt(one.text) + " " + why, "as in: " + example);
      } else {
        get(out).push_back(one.text);
      }
    }
  };
  option.print = [get](const T& from) {
    std::string out;
    for (const std::string& one : get(from)) out += (out.empty() ? "[" : ", ") + toml_string(one);
    return out.empty() ? out : out + "]";
  };
  return option;
}

// A word out of `words`; `set` takes it over, `word_of` gives the one that holds.
template <class T>
Option<T> choice(std::string key, std::vector<std::string> words, std::function<void(T&, const std::string&)> set,
                 std::function<std::string(const T&)> word_of, std::string about) {
  std::string type;
  for (const std::string& word : words) type += (type.empty() ? "" : " \\| ") + word;
  Option<T> option{std::move(key), std::move(type), std::move(about), {}, {}};
  option.read = [words, set, name = option.key](const Value& value, T& out, Problems& problems) {
    if (value.kind != Kind::kString)
      return add_wrong_kind(problems, value, "a string", name + " = \"" + words.front() + "\"");
    for (const std::string& word : words) {
      if (word == value.text) return set(out, word);
    }
    std::string list;
    for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
    const auto meant = did_you_mean(value.text, words);
    problems.add(value.place, excerpt(value.text) + " is no " + name,
                 meant ? "did you mean \"" + *meant + "\"?" : "one of: " + list);
  };
  option.print = [word_of](const T& from) {
    const std::string chosen = word_of(from);
    return chosen.empty() ? chosen : "\"" + chosen + "\"";
  };
  return option;
}

template <class T, class Get>
Option<T> word(std::string key, std::vector<std::string> words, Get get, std::string about) {
  return choice<T>(
      std::move(key), std::move(words), [get](T& out, const std::string& chosen) { get(out) = chosen; },
      [get](const T& from) { return get(from); }, std::move(about));
}

template <class T, class Get>
Option<T> address(std::string key, Get get, std::string about) {
  Option<T> option{std::move(key), "address", std::move(about), {}, {}};
  option.read = [get, name = option.key](const Value& value, T& out, Problems& problems) {
    const std::string example = name + " = \"127.0.0.1:8080\" (IPv6: \"[::1]:8080\")";
    if (value.kind != Kind::kString) return add_wrong_kind(problems, value, "an address in quotes", example);
    const auto parsed = parse_address(value.text);
    if (!parsed)
      return problems.add(value.place, excerpt(value.text) + " is not an IP address with a port", "as in: " + example);
    get(out) = *parsed;
  };
  option.print = [get](const T& from) { return "\"" + get(from).to_string() + "\""; };
  return option;
}

}  // namespace spillway::config

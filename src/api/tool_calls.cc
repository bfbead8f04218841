#include "api/tool_calls.h"

#include <functional>

namespace spillway::api {

std::size_t ToolCalls::begin(const Piece& piece) {
  const std::size_t place = calls_.size();
  calls_.emplace_back();
  if (piece.index) by_index_[*piece.index] = place;
  return place;
}

std::size_t ToolCalls::place_of(const Piece& piece) {
  const auto choose = [&] {
    const auto by_id = by_id_.find(std::string(piece.id));
    if (piece.index) {
      const auto found = by_index_.find(*piece.index);
      if (found == by_index_.end()) return begin(piece);
      const Call& call = calls_[found->second];
      const bool is_new = !piece.id.empty() && !piece.name.empty() && !call.id.empty() && call.id != piece.id;
      if (!is_new) return found->second;
      return by_id != by_id_.end() ? by_id->second : begin(piece);
    }
    if (calls_.empty()) return begin(piece);
    const Call& last = calls_.back();
    if (!piece.id.empty()) {
      if (by_id != by_id_.end()) return by_id->second;
      return last.id.empty() && !last.begun ? calls_.size() - 1 : begin(piece);
    }
    return piece.name.empty() || last.name.empty() ? calls_.size() - 1 : begin(piece);
  };
  const std::size_t place = choose();
  Call& call = calls_[place];
  if (call.id.empty() && !piece.id.empty()) {
    call.id = piece.id;
    by_id_.emplace(call.id, place);
  }
  if (call.name.empty()) call.name = piece.name;
  return place;
}

void ToolCalls::add(const Piece& piece, Parts& out) {
  const std::size_t place = place_of(piece);
  const auto index = static_cast<std::int64_t>(place);
  Call& call = calls_[place];
  if (!call.begun) {
    call.early += piece.arguments;
    if (call.name.empty()) return;
    call.begun = true;
    out.push_back({.kind = PartKind::kCall,
                   .index = index,
                   .id = call.id.empty() ? made_id(answer_, place) : call.id,
                   .name = call.name});
    if (!call.early.empty())
      out.push_back({.kind = PartKind::kArguments, .index = index, .text = std::move(call.early)});
    return;
  }
  if (!piece.arguments.empty())
    out.push_back({.kind = PartKind::kArguments, .index = index, .text = std::string(piece.arguments)});
}

std::string ToolCalls::made_id(std::string_view answer, std::size_t place) {
  return "call_" + std::to_string(std::hash<std::string_view>()(answer)) + "_" + std::to_string(place);
}

}  // namespace spillway::api

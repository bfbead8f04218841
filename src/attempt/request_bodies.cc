#include "attempt/request_bodies.h"

namespace spillway::attempt {

RequestBody RequestBodies::for_target(const route::Target& target) {
  const config::Backend& settings = target.backend->settings();
  const auto endpoint = api::endpoint_at(settings.kind, format_.endpoint());
  if (endpoint == format_.endpoint()) return {&format_, body_, &request_, nullptr, nullptr};
  for (const Made& made : made_) {
    if (made.target == &target) return view(made);
  }
  if (!endpoint) {
    made_.push_back({&target, nullptr,
                     api::invalid_request("the Backend " + settings.name + " speaks " +
                                          std::string(to_string(settings.kind)) + ", which has no such endpoint")});
    return view(made_.back());
  }
  const api::Format& to = api::format_of(*endpoint);
  const std::string_view model = target.quoted_model.empty()
                                     ? std::string_view(request_.model)
                                     : std::string_view(target.quoted_model).substr(1, target.quoted_model.size() - 2);
  made_.push_back({&target, &to, api::translate(format_, body_, request_, to, target.backend->recipient(model))});
  return view(made_.back());
}

std::span<const std::string> RequestBodies::dropped_at(const backend::Backend& backend) const {
  for (const Made& made : made_) {
    if (made.target->backend.get() != &backend) continue;
    if (const auto* translation = std::get_if<api::Translation>(&made.translation)) return translation->dropped;
  }
  return {};
}

RequestBody RequestBodies::view(const Made& made) {
  if (const auto* error = std::get_if<api::ApiError>(&made.translation))
    return {made.format, {}, nullptr, nullptr, error};
  const auto& translation = std::get<api::Translation>(made.translation);
  return {made.format, translation.text(), &translation.request, &translation.dropped, nullptr};
}

}  // namespace spillway::attempt

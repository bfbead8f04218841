#include "backend/backend.h"

#include <algorithm>
#include <array>

#include "config/values.h"
#include "http/tls.h"

namespace spillway::backend {

namespace {

// Shorter ones ("none", "test") are not secrets, and stand in texts by chance.
constexpr int kBeginAtHome = 16;         // Attempts at once at a server of our own whose room is not known yet
constexpr std::size_t kLeastSecret = 6;  // bytes

}  // namespace

std::string path_of(const http::Url& base_url, api::Endpoint endpoint) {
  const api::EndpointRow& row = api::row_of(endpoint);
  std::string base = base_url.path;
  const auto ends_with = [&](std::string_view end) { return base.ends_with(end); };
  switch (row.dialect) {
    case Dialect::kOpenAi: return (base.empty() ? "/v1" : base) + std::string(row.path.substr(3));
    case Dialect::kAnthropic:
      if (ends_with("/v1")) base.resize(base.size() - 3);
      break;
    case Dialect::kOllama:
      if (ends_with("/v1")) base.resize(base.size() - 3);
      if (ends_with("/api")) base.resize(base.size() - 4);
      break;
  }
  return base + std::string(row.path);
}

Result<std::shared_ptr<Backend>> Backend::make(const config::Backend& settings, record::ThreadMetrics& metrics,
                                               std::shared_ptr<Condition> condition, http::TlsContexts* contexts) {
  std::shared_ptr<Backend> made(new Backend(settings, metrics.backend(settings.name)));
  made->condition_ = condition ? std::move(condition) : std::make_shared<Condition>();
  const bool nine =
      config::find_traits(!settings.engine.empty() ? settings.engine : settings.preset, {}).nine_letter_ids;
  made->call_ids_ = settings.kind == Dialect::kAnthropic ? api::CallIds::kWord
                    : nine                               ? api::CallIds::kNine
                                                         : api::CallIds::kAny;
  if (settings.is_local()) {
    made->origin_.url.host = "127.0.0.1";
    return made;
  }
  Result<http::Url> url = http::parse_url(settings.base_url);
  if (!url) return url.error();
  made->origin_.url = *url;
  made->origin_.key = settings.name + " " + settings.base_url;
  if (url->tls) {
    auto context =
        contexts != nullptr ? contexts->client(settings.ca_file) : http::make_client_context(settings.ca_file);
    if (!context) return context.error();
    made->origin_.tls = *context;
    made->origin_.sessions = http::make_tls_sessions();
  }
  made->render_head(settings.api_key.value);
  return made;
}

void Backend::render_head(std::string_view key) {
  std::string fields = " HTTP/1.1\r\nHost: " + origin_.url.authority() +
                       "\r\nContent-Type: application/json\r\nAccept-Encoding: identity\r\n";
  secrets_.clear();
  const config::Preset* const preset = config::find_preset(settings_.preset);
  if (!key.empty()) {
    const bool bearer = settings_.kind != Dialect::kAnthropic ||
                        (preset != nullptr && preset->anthropic_key == config::KeyField::kBearer);
    fields.append(bearer ? "Authorization: Bearer " : "x-api-key: ").append(key).append("\r\n");
    learn_secret(key);
  }
  for (const auto& [name, value] : settings_.headers) {
    fields.append(name).append(": ").append(value.value).append("\r\n");
    if (value.source.empty() && !config::names_a_secret(name)) continue;
    learn_secret(value.value);
    // "Bearer SECRET": an upstream repeats only the secret.
    learn_secret(std::string_view(value.value).substr(value.value.rfind(' ') + 1));
  }
  for (const api::EndpointRow& row : api::endpoints()) {
    if (row.dialect != settings_.kind) continue;
    heads_[static_cast<std::size_t>(row.endpoint)] = "POST " + path_of(origin_.url, row.endpoint) + fields;
  }
  // Anthropic's is told in pages.
  const std::string list = settings_.kind == Dialect::kOllama ? "/api/tags" : "/v1/models?limit=1000";
  std::string path = settings_.kind == Dialect::kOpenAi      ? path_of(origin_.url, api::Endpoint::kChat)
                     : settings_.kind == Dialect::kAnthropic ? path_of(origin_.url, api::Endpoint::kMessages)
                                                             : path_of(origin_.url, api::Endpoint::kOllamaChat);
  if (settings_.kind == Dialect::kOpenAi) {
    path = path.substr(0, path.rfind("/chat/completions")) + "/models";
  } else {
    path = path.substr(0, path.rfind(settings_.kind == Dialect::kAnthropic ? "/v1/messages" : "/api/chat")) + list;
  }
  fields_ = fields;
  list_request_ = "GET " + path + fields;
  if (settings_.kind == Dialect::kAnthropic) list_request_ += "anthropic-version: 2023-06-01\r\n";
  list_request_ += "Connection: close\r\n\r\n";
  if (preset != nullptr && !preset->resume_path.empty() && settings_.kind == Dialect::kOpenAi &&
      (origin_.url.path.empty() || origin_.url.path == "/v1"))
    resume_head_ = "POST " + std::string(preset->resume_path) + "/chat/completions" + fields;
}

std::string Backend::get_request(std::string_view path) const {
  std::string_view base = origin_.url.path;
  while (base.ends_with('/')) base.remove_suffix(1);
  if (base.ends_with("/v1")) base.remove_suffix(3);
  return "GET " + std::string(base) + std::string(path) + fields_ + "Connection: close\r\n\r\n";
}

api::Recipient Backend::recipient(std::string_view model) const {
  const config::Traits traits =
      config::find_traits(!settings_.engine.empty() ? settings_.engine : settings_.preset, model);
  api::Recipient out;
  out.open_sampling = traits.open_sampling;
  out.takes_reasoning = traits.takes_reasoning;
  out.takes_effort = traits.takes_effort;
  out.max_completion_tokens = traits.max_completion_tokens;
  out.may_be_silenced = traits.may_be_silenced;
  out.fixed_sampling = traits.fixed_sampling;
  out.call_ids = call_ids_;
  return out;
}

std::vector<api::ResumeForm> Backend::resume_forms(std::string_view model, TimePoint at) const {
  using api::ResumeForm;
  std::vector<ResumeForm> forms;
  if (const auto configured = api::resume_form_of(settings_.resume)) {
    forms.push_back(*configured);
  } else {
    const config::Preset* const preset =
        config::find_preset(!settings_.engine.empty() ? settings_.engine : settings_.preset);
    if (preset != nullptr && !preset->resume.empty()) {
      forms.push_back(*api::resume_form_of(preset->resume));
    } else {
      forms = {ResumeForm::kContinueFinalMessage, ResumeForm::kPrefix, ResumeForm::kPartial};
      if (settings_.kind != Dialect::kOpenAi) forms = {ResumeForm::kAssistant};
    }
    if (forms.back() != ResumeForm::kAsk) forms.push_back(ResumeForm::kAsk);
    std::erase_if(forms, [&](ResumeForm form) { return condition_->resume_memory().has_failed(model, form, at); });
  }
  return forms;
}

const config::ThinkingSwitch* Backend::thinking_switch(std::string_view model) const {
  if (!settings_.engine.empty()) return config::find_thinking_switch(settings_.engine, model);
  return config::find_thinking_switch(settings_.preset, model);
}

void Backend::learn_secret(std::string_view secret) {
  if (secret.size() < kLeastSecret) return;
  secrets_.emplace_back(secret);
  std::sort(secrets_.begin(), secrets_.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
}

bool Backend::overrides(std::string_view header_name) const {
  return std::any_of(settings_.headers.begin(), settings_.headers.end(),
                     [&](const auto& own) { return equals_ignore_case(own.first, header_name); });
}

bool Backend::forwards(std::string_view header_name) const {
  return std::any_of(settings_.forward_headers.begin(), settings_.forward_headers.end(),
                     [&](const std::string& name) { return equals_ignore_case(name, header_name); });
}

bool Backend::holds_secret(std::string_view text) const {
  return std::any_of(secrets_.begin(), secrets_.end(),
                     [&](const std::string& secret) { return text.find(secret) != std::string_view::npos; });
}

std::string Backend::masked(std::string_view text) const {
  std::string out(text);
  for (const std::string& secret : secrets_) {
    for (std::size_t at = out.find(secret); at != std::string::npos; at = out.find(secret, at + 3))
      out.replace(at, secret.size(), "***");
  }
  return out;
}

void Backend::set_local(const LocalStatus& status) {
  local_ = status;
  if (status.state == LocalStatus::State::kReady) {
    origin_.url.port = status.port;
    origin_.key = settings_.name + " " + std::to_string(status.port) + " " + status.key;
    render_head(status.key);
  }
}

void Backend::on_replaced(std::weak_ptr<Event> wake) {
  std::erase_if(waiting_, [](const std::weak_ptr<Event>& one) { return one.expired(); });
  waiting_.push_back(std::move(wake));
}

void Backend::wake_those_who_wait() {
  for (const std::weak_ptr<Event>& one : std::exchange(waiting_, {})) {
    if (const std::shared_ptr<Event> event = one.lock()) event->notify();
  }
}

admit::Gate::Settings gate_settings(const config::Backend& backend, const config::Limits& limits) {
  admit::Gate::Settings out;
  out.limiter.fixed = backend.max_concurrency;
  if (backend.tier != Tier::kCloud) out.limiter.begin = kBeginAtHome;
  if (backend.is_local()) out.limiter.most = out.limiter.begin = backend.replicas * backend.parallel;
  // A cloud's time to the first token is its own affair: it is spared when it is slow (Breaker).
  out.limiter.by_first_token = backend.tier != Tier::kCloud;
  if (const auto rate = config::parse_rate(backend.rate)) {
    out.rate = rate->most;
    out.rate_window = rate->window;
  }
  out.hard = backend.is_local() || backend.max_concurrency > 0;
  if (backend.is_local()) out.extra = backend.replicas * backend.critical_parallel;
  out.loads = backend.is_local();
  out.max_waiting = limits.max_waiting;
  out.max_wait = limits.max_wait;
  return out;
}

}  // namespace spillway::backend

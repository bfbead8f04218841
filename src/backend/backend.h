// A Backend as one thread uses it: where it is, how it is asked, whether a local one is there yet.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/format.h"
#include "api/resumption.h"
#include "backend/condition.h"
#include "base/event.h"
#include "base/result.h"
#include "config/config.h"
#include "config/presets.h"
#include "http/client.h"
#include "record/metrics.h"

namespace spillway::backend {

// What the fleet says of a local Backend's Replica. Told to each thread by a message.
struct LocalStatus {
  enum class State {
    kLoading,  // it is being started; requests wait
    kReady,
    kStopped,  // it is not coming
  };
  State state = State::kLoading;
  std::uint16_t port = 0;
  std::string key;  // the Replica's own API key
  // Keeps the Replica running: it is not stopped while a thread may still ask it.
  std::shared_ptr<const void> lease;
};

// One thread; shared by the Routes that name it, and kept over a reload while its settings stay.
class Backend {
 public:
  // `ca_file` and the like are read here; fails where they cannot be.
  // `condition` is the one that all threads share; null: one of its own. `contexts` are this thread's; null: likewise.
  static Result<std::shared_ptr<Backend>> make(const config::Backend& settings, record::ThreadMetrics& metrics,
                                               std::shared_ptr<Condition> condition = nullptr,
                                               http::TlsContexts* contexts = nullptr);

  [[nodiscard]] const config::Backend& settings() const { return settings_; }
  [[nodiscard]] const std::string& name() const { return settings_.name; }
  [[nodiscard]] record::BackendSeries& series() { return series_; }
  [[nodiscard]] Condition& condition() { return *condition_; }
  [[nodiscard]] const http::Origin& origin() const { return origin_; }

  // Request line and header of a request at `endpoint`, which is one of its Dialect, up to where per-request fields
  // follow: method, path, Host, credentials, content type, the Backend's own `headers`. Lines end in CRLF.
  [[nodiscard]] const std::string& head(api::Endpoint endpoint) const {
    return heads_[static_cast<std::size_t>(endpoint)];
  }
  // The same for an answer that is continued, where that has a path of its own.
  [[nodiscard]] const std::string& resume_head(api::Endpoint endpoint) const {
    return resume_head_.empty() ? head(endpoint) : resume_head_;
  }
  // A whole request for the list of its models, on a connection of its own.
  [[nodiscard]] const std::string& list_request() const { return list_request_; }
  // The same for what its server has beside the API, as in "/metrics": below the base URL without its /v1.
  [[nodiscard]] std::string get_request(std::string_view path) const;
  // What it takes of a request for `model` that a client wrote in another Dialect.
  [[nodiscard]] api::Recipient recipient(std::string_view model) const;
  // What the ids of tool calls have to look like.
  [[nodiscard]] api::CallIds call_ids() const { return call_ids_; }
  // How to ask it to go on, in the order in which to try: what the Config says, else what its preset or engine knows,
  // else what is most common; without what was found not to work with `model`. From scratch is always left, so it is
  // not named, unless the Config says it; kNone: not at all.
  [[nodiscard]] std::vector<api::ResumeForm> resume_forms(std::string_view model, TimePoint at) const;
  // What switches the thinking of `model` off; null: nothing known.
  [[nodiscard]] const config::ThinkingSwitch* thinking_switch(std::string_view model) const;

  // The client's field of that name must give way to one of the Backend's own `headers`.
  [[nodiscard]] bool overrides(std::string_view header_name) const;
  // The client's field of that name goes on, because the Config says so.
  [[nodiscard]] bool forwards(std::string_view header_name) const;

  // `text` with each occurrence of this Backend's secrets (its key, values of its `headers` that are secret, a local
  // Replica's key) replaced by "***": what an upstream says may repeat them, and goes to clients and logs.
  [[nodiscard]] std::string masked(std::string_view text) const;
  // Whether there is any; cheap.
  [[nodiscard]] bool holds_secret(std::string_view text) const;

  [[nodiscard]] bool is_local() const { return settings_.is_local(); }
  // A Backend that is not local is always ready.
  [[nodiscard]] bool ready() const { return !is_local() || local_.state == LocalStatus::State::kReady; }
  [[nodiscard]] bool loading() const { return is_local() && local_.state == LocalStatus::State::kLoading; }

  // Keeps the engine of a local one running, as long as somebody holds it.
  [[nodiscard]] std::shared_ptr<const void> lease() const { return local_.lease; }

  // Requests that wait for it wait at the Condition's Gate.
  void set_local(const LocalStatus& status);

  // A reload has put another version of it, or nothing, in its place, and nobody will tell it again how its engine is.
  // Who waits for it goes on elsewhere.
  [[nodiscard]] bool replaced() const { return replaced_; }
  void replace() { replaced_ = true; }
  void wake_those_who_wait();
  // `wake` is notified then, unless it is gone.
  void on_replaced(std::weak_ptr<Event> wake);

 private:
  Backend(const config::Backend& settings, record::BackendSeries& series) : settings_(settings), series_(series) {}
  void render_head(std::string_view key);
  void learn_secret(std::string_view secret);

  config::Backend settings_;
  record::BackendSeries& series_;
  std::shared_ptr<Condition> condition_;
  http::Origin origin_;
  std::array<std::string, api::kEndpoints> heads_;  // empty: of another Dialect
  std::string resume_head_;
  api::CallIds call_ids_ = api::CallIds::kAny;
  std::string list_request_;
  std::string fields_;                // from the protocol's version on: Host, credentials, the Backend's own
  std::vector<std::string> secrets_;  // longest first
  LocalStatus local_;
  bool replaced_ = false;
  std::vector<std::weak_ptr<Event>> waiting_;
};

// What it may be given at once, as the Config has it.
admit::Gate::Settings gate_settings(const config::Backend& backend, const config::Limits& limits);

// Where `endpoint` is below a base URL: with and without the /v1 (or /api) that its SDKs have there or not.
std::string path_of(const http::Url& base_url, api::Endpoint endpoint);

}  // namespace spillway::backend

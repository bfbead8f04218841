#include "cli/gateway_at.h"

#include "cli/output.h"
#include "cli/signal_mask.h"
#include "fleet/models/store.h"

namespace spillway::cli {

namespace {

http::Url url_of(const config::Address& address) {
  http::Url url;
  url.host = address.host == "0.0.0.0" ? "127.0.0.1" : address.host == "::" ? "::1" : address.host;
  url.port = address.port;
  return url;
}

}  // namespace

Result<http::Url> gateway_url(const Context& context, const std::string& option) {
  if (!option.empty()) {
    Result<http::Url> url = http::parse_url(option);
    if (url && !url->tls && (url->path.empty() || url->path == "/v1")) return url;
    return Error{ErrorCode::kInvalidArgument, "--url " + option + " is not the address of a gateway",
                 "as in --url http://127.0.0.1:8080"};
  }
  const config::Loaded loaded = context.load_config();
  if (!loaded.config) {
    print_problems(loaded);
    return Error{ErrorCode::kInvalidArgument, "the config does not say where the gateway is",
                 "mend it, or use --url http://HOST:PORT"};
  }
  return url_of(loaded.config->server.listen);
}

Result<std::unique_ptr<OwnGateway>> OwnGateway::start(const Context& context, const std::string& model) {
  config::Loaded loaded = context.load_config();
  if (!loaded.config) {
    print_problems(loaded);
    return Error{ErrorCode::kInvalidArgument, "the config is wrong", "spillway check tells all of it"};
  }
  serve::Gateway::Options options;
  options.config = std::move(*loaded.config);
  options.config.server.listen = {"127.0.0.1", 0};
  options.config.server.admin_listen = {"127.0.0.1", 0};
  options.config.log.access = "off";
  if (!context.config_file() && fleet::Store(context.data() / "models").find(model)) {
    for (config::Backend& backend : options.config.backends) {
      if (backend.is_local()) backend.model = model;
    }
  }
  options.data = context.data();
  options.environment = context.environment;
  options.log_level = context.log_level().value_or(log::Level::kError);
  options.say = [](const std::string&) {};
  options.obeys_signals = false;
  std::unique_ptr<OwnGateway> own(new OwnGateway);
  const SignalMask none_for_its_threads(SignalMask::To::kBlock, SIGINT);
  own->gateway_ = std::make_unique<serve::Gateway>(std::move(options));
  if (const Status opened = own->gateway_->open(); !opened) return opened.error();
  own->url_ = url_of(own->gateway_->addresses().listen);
  own->thread_ = std::thread([gateway = own->gateway_.get()] { gateway->run(); });
  return own;
}

OwnGateway::~OwnGateway() {
  if (!thread_.joinable()) return;
  gateway_->stop();
  thread_.join();
}

}  // namespace spillway::cli

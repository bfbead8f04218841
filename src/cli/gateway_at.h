// The gateway that a command talks to.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "cli/app.h"
#include "http/url.h"
#include "serve/gateway.h"

namespace spillway::cli {

// Where a gateway is asked: `option` (--url), else what the config says.
Result<http::Url> gateway_url(const Context& context, const std::string& option);

// A gateway of this process, on ports that are free, until it is destroyed.
class OwnGateway {
 public:
  // Serves what the config says; without a config file the embedded default, whose local model is `model` where the
  // store has that.
  static Result<std::unique_ptr<OwnGateway>> start(const Context& context, const std::string& model);
  ~OwnGateway();

  [[nodiscard]] const http::Url& url() const { return url_; }

 private:
  OwnGateway() = default;

  std::unique_ptr<serve::Gateway> gateway_;
  std::thread thread_;
  http::Url url_;
};

}  // namespace spillway::cli

#include "base/version.h"

#include <openssl/crypto.h>

#include <boost/version.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/output.h"

namespace spillway::cli {

void add_version(Command app, Context& /*context*/) {
  Command command = app.subcommand("version", "Print the version of this program and what it was built with");
  auto json = std::make_shared<bool>(false);
  command.flag("--json", *json, "Print it as JSON");
  command.footer(R"(
Examples:
  spillway version
  spillway version --json)");
  command.action([json] {
    const std::string own(version());
    const std::string boost = std::to_string(BOOST_VERSION / 100000) + "." + std::to_string(BOOST_VERSION / 100 % 1000);
    const std::string openssl = OpenSSL_version(OPENSSL_VERSION_STRING);
    if (*json) {
      const nlohmann::json out = {
          {"version", own}, {"compiler", "clang " __clang_version__}, {"boost", boost}, {"openssl", openssl}};
      return print(out.dump(2) + "\n") ? kFine : kFailed;
    }
    return print("spillway " + own + "\n  clang " __clang_version__ "\n  Boost " + boost + ", OpenSSL " + openssl +
                 "\n")
               ? kFine
               : kFailed;
  });
}

}  // namespace spillway::cli

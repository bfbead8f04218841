// Takes an engine's place in tests. Listens on --port of 127.0.0.1 and greets whoever connects with
// its API key, when the model "is loaded". `--stand-in BEHAVIOUR[,BEHAVIOUR…]`:
//
//   deaf         does not listen
//   fail         says why and exits with code 1
//   fail-until=F as `fail`, unless the file F is there
//   stubborn     does not end by SIGTERM
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string option(int argc, char** argv, const char* name) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return argv[i + 1];
  }
  return {};
}

int fail() {
  std::fputs("0.00.001.000 E stand_in: cannot load the model\n", stderr);
  return 1;
}

int serve(int port, const std::string& key) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 16) != 0) {
    std::fputs("0.00.001.000 E stand_in: couldn't bind\n", stderr);
    return 1;
  }
  std::puts("listening");
  std::fflush(stdout);
  for (;;) {
    const int connection = ::accept(listener, nullptr, nullptr);
    if (connection < 0) continue;
    if (::write(connection, key.data(), key.size()) < 0) std::perror("write");
    ::close(connection);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string behaviour = "," + option(argc, argv, "--stand-in") + ",";
  const auto behaves = [&](const char* what) { return behaviour.find(what) != std::string::npos; };
  if (behaves(",stubborn,")) ::signal(SIGTERM, SIG_IGN);
  if (behaves(",fail,")) return fail();
  if (const std::size_t at = behaviour.find(",fail-until="); at != std::string::npos) {
    const std::size_t from = behaviour.find('=', at) + 1;
    if (::access(behaviour.substr(from, behaviour.find(',', from) - from).c_str(), F_OK) != 0) return fail();
  }
  if (behaves(",deaf,")) {
    std::puts("deaf");
    std::fflush(stdout);
    for (;;) ::pause();
  }
  const char* key = std::getenv("LLAMA_API_KEY");
  return serve(std::atoi(option(argc, argv, "--port").c_str()), key == nullptr ? "" : key);
}

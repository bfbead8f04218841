// A client on the test's own thread, for servers that run on others.
#pragma once

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <string>

namespace spillway::serve::testing {

class BlockingClient {
 public:
  explicit BlockingClient(std::uint16_t port) { socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port}); }

  // The whole answer, header and body; what there is of it when the other side ends the connection.
  std::string get(const std::string& path) {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    boost::system::error_code ec;
    boost::asio::write(socket_, boost::asio::buffer(request), ec);
    std::size_t head = boost::asio::read_until(socket_, boost::asio::dynamic_buffer(input_), "\r\n\r\n", ec);
    if (ec) return std::exchange(input_, {});
    std::size_t length = 0;
    if (const std::size_t at = input_.find("Content-Length: "); at < head) length = std::stoul(input_.substr(at + 16));
    if (input_.size() < head + length) {
      boost::asio::read(socket_, boost::asio::dynamic_buffer(input_),
                        boost::asio::transfer_exactly(head + length - input_.size()), ec);
    }
    std::string answer = input_.substr(0, head + length);
    input_.erase(0, head + length);
    return answer;
  }

  // The other side has ended the connection; waits for it.
  bool ended() {
    boost::system::error_code ec;
    char byte = 0;
    return socket_.read_some(boost::asio::buffer(&byte, 1), ec) == 0 && ec;
  }

 private:
  boost::asio::io_context loop_;
  boost::asio::ip::tcp::socket socket_{loop_};
  std::string input_;
};

}  // namespace spillway::serve::testing

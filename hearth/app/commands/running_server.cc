#include "hearth/app/commands/running_server.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace hearth::app {

namespace beast_http = boost::beast::http;
using boost::asio::ip::tcp;

Result<std::string> RunningServer::get(const std::string& target) const {
  return ask(/*is_post=*/false, target, "", "application/json");
}

Result<std::string> RunningServer::post(const std::string& target, std::string body, const std::string& content_type) const {
  return ask(/*is_post=*/true, target, std::move(body), content_type);
}

Result<std::string> RunningServer::ask(bool is_post, const std::string& target, std::string body, const std::string& content_type) const {
  std::string host_and_port = address_.substr(address_.find("//") + 2);
  auto colon = host_and_port.rfind(':');
  std::string host = host_and_port.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);  // an IPv6 address
  try {
    boost::asio::io_context context;
    tcp::socket socket(context);
    socket.connect({boost::asio::ip::make_address(host), static_cast<std::uint16_t>(std::stoi(host_and_port.substr(colon + 1)))});
    beast_http::request<beast_http::string_body> request(is_post ? beast_http::verb::post : beast_http::verb::get, target, 11);
    request.set(beast_http::field::host, host_and_port);
    request.set(beast_http::field::content_type, content_type);
    if (admin_key_) request.set(beast_http::field::authorization, "Bearer " + *admin_key_);
    request.body() = std::move(body);
    request.prepare_payload();
    beast_http::write(socket, request);
    boost::beast::flat_buffer buffer;
    beast_http::response<beast_http::string_body> response;
    beast_http::read(socket, buffer, response);
    if (response.result() == beast_http::status::ok) return std::move(response.body());
    return fail(ErrorCode::kUnavailable,
                "the server at " + address_ + " answers " + std::to_string(response.result_int()) + ": " + response.body());
  } catch (const boost::system::system_error& error) {
    return fail(ErrorCode::kUnavailable, "the server at " + address_ + " does not answer: " + error.what());
  }
}

}  // namespace hearth::app

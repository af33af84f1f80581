#include "hearth/app/commands/running_server.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <utility>

#include "hearth/base/json_reader.h"

namespace hearth::app {

namespace beast_http = boost::beast::http;
using boost::asio::ip::tcp;

struct RunningServer::Question {
  beast_http::verb verb = beast_http::verb::get;
  std::string target = {};
  std::string body = {};
  std::string content_type = "application/json";
};

namespace {

// What the server says is wrong; all that it says where that is no problem of Hearth's.
std::string complaint_of(std::string body) {
  std::string complaint;
  auto read = read_json_object(body, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key != "error") return false;
    auto text = value.string(key);
    if (!text) return std::unexpected(text.error());
    complaint = *text;
    return true;
  });
  return read && !complaint.empty() ? complaint : body;
}

}  // namespace

Result<std::string> RunningServer::get(const std::string& target) const {
  return ask({.target = target});
}

Result<std::string> RunningServer::post(const std::string& target, std::string body, const std::string& content_type) const {
  return ask({.verb = beast_http::verb::post, .target = target, .body = std::move(body), .content_type = content_type});
}

Result<std::string> RunningServer::remove(const std::string& target) const {
  return ask({.verb = beast_http::verb::delete_, .target = target});
}

Result<std::string> RunningServer::ask(Question question) const {
  std::string host_and_port = address_.substr(address_.find("//") + 2);
  auto colon = host_and_port.rfind(':');
  std::string host = host_and_port.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);  // an IPv6 address
  try {
    boost::asio::io_context context;
    tcp::socket socket(context);
    socket.connect({boost::asio::ip::make_address(host), static_cast<std::uint16_t>(std::stoi(host_and_port.substr(colon + 1)))});
    beast_http::request<beast_http::string_body> request(question.verb, question.target, 11);
    request.set(beast_http::field::host, host_and_port);
    request.set(beast_http::field::content_type, question.content_type);
    if (admin_key_) request.set(beast_http::field::authorization, "Bearer " + *admin_key_);
    request.body() = std::move(question.body);
    request.prepare_payload();
    beast_http::write(socket, request);
    boost::beast::flat_buffer buffer;
    beast_http::response<beast_http::string_body> response;
    beast_http::read(socket, buffer, response);
    if (response.result() == beast_http::status::ok) return std::move(response.body());
    return fail(ErrorCode::kUnavailable,
                "the server at " + address_ + " answers " + std::to_string(response.result_int()) + ": " + complaint_of(response.body()));
  } catch (const boost::system::system_error& error) {
    return fail(ErrorCode::kUnavailable, "the server at " + address_ + " does not answer: " + error.what());
  }
}

}  // namespace hearth::app

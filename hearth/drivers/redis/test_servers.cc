#include "hearth/drivers/redis/test_servers.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <fstream>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>

#include "hearth/base/task.h"
#include "hearth/drivers/redis/reply_reader.h"

namespace hearth::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{60};  // nothing that a test waits for takes so long

[[noreturn]] void fail_with(const std::string& what) {
  throw std::runtime_error(what);
}

class File {
 public:
  explicit File(int handle) : handle_(handle) {
    if (handle < 0) fail_with("no file handle");
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(handle_); }
  int handle() const { return handle_; }

 private:
  int handle_;
};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::uint16_t free_port() {
  File socket_of_it(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto address = loopback(0);
  socklen_t size = sizeof address;
  auto* general = reinterpret_cast<sockaddr*>(&address);
  if (bind(socket_of_it.handle(), general, size) != 0 || getsockname(socket_of_it.handle(), general, &size) != 0) fail_with("no free port");
  return ntohs(address.sin_port);
}

// Starts a program that ends with this thread.
pid_t start_program(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = fork();
  if (pid < 0) fail_with("fork");
  if (pid > 0) return pid;
  // Only what is safe after fork() in a program with threads.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  int nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, STDOUT_FILENO);
  dup2(nowhere, STDERR_FILENO);
  execvp(argv[0], argv.data());
  _exit(127);
}

void run_program(std::vector<std::string> arguments) {
  auto name = arguments.front();
  int status = 0;
  waitpid(start_program(std::move(arguments)), &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_with(name + " failed");
}

// A connection for one command after the other.
class PlainConnection {
 public:
  explicit PlainConnection(std::uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    timeval patience{.tv_sec = 10, .tv_usec = 0};
    setsockopt(socket_.handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    auto address = loopback(port);
    if (connect(socket_.handle(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail_with("no server listens");
  }

  Reply run(const std::vector<std::string_view>& words) {
    auto wire = Command(words).wire();
    if (send(socket_.handle(), wire.data(), wire.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(wire.size())) fail_with("a server hung up");
    std::array<char, ReplyReader::kFeedMax> bytes;
    while (true) {
      auto reply = reader_.next();
      if (!reply) fail_with(reply.error().message);
      if (*reply) return **std::move(reply);
      auto size = recv(socket_.handle(), bytes.data(), bytes.size(), 0);
      if (size <= 0) fail_with("a server does not answer");
      reader_.feed({bytes.data(), static_cast<std::size_t>(size)});
    }
  }

 private:
  File socket_;
  ReplyReader reader_;
};

}  // namespace

bool eventually(const std::function<bool()>& condition) {
  for (auto deadline = steady_clock::now() + kPatience; steady_clock::now() < deadline;) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return false;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "hearth-redis-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) fail_with("no temporary folder");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TestCertificates::TestCertificates(const std::filesystem::path& folder)
    : ca(folder / "ca.crt"), certificate(folder / "server.crt"), key(folder / "server.key") {
  std::string ca_key = folder / "ca.key";
  auto request = [](const std::string& key_file, const std::string& certificate_file, std::vector<std::string> more) {
    std::vector<std::string> command{"openssl", "req",   "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                                     "-nodes",  "-days", "2"};
    command.insert(command.end(), {"-keyout", key_file, "-out", certificate_file});
    command.insert(command.end(), more.begin(), more.end());
    run_program(command);
  };
  request(ca_key, ca, {"-subj", "/CN=an authority for a test"});
  request(key, certificate, {"-subj", "/CN=a server", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-CA", ca, "-CAkey", ca_key});
}

// --- RedisServer ---

RedisServer::RedisServer(RedisServerOptions options)
    : options_(std::move(options)), port_(free_port()), tls_port_(free_port()), bus_port_(free_port()) {
  if (options_.has_tls) certificates_ = std::make_unique<TestCertificates>(folder_.path());
  write_config();
  start();
}

RedisServer::~RedisServer() {
  kill();
}

const std::string& RedisServer::ca_file() const {
  return certificates_->ca;
}

void RedisServer::write_config() const {
  std::ofstream config(folder_.path() / "redis.conf");
  config << "bind 127.0.0.1\nport " << port_ << "\ndir " << folder_.path().string() << "\nlogfile redis.log\n";
  if (!options_.is_sentinel) {
    config << "save \"\"\nappendonly " << (options_.is_persistent ? "yes" : "no") << "\nappendfsync " << options_.appendfsync << "\n";
    config << "repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n";
  }
  if (certificates_) {
    config << "tls-port " << tls_port_ << "\ntls-ca-cert-file " << certificates_->ca << "\ntls-cert-file " << certificates_->certificate
           << "\ntls-key-file " << certificates_->key << "\ntls-auth-clients no\n";
  }
  for (const auto& line : options_.config) config << line << "\n";
  if (std::ranges::find(options_.config, "cluster-enabled yes") != options_.config.end()) config << "cluster-port " << bus_port_ << "\n";
}

void RedisServer::start() {
  auto config = (folder_.path() / "redis.conf").string();
  std::vector<std::string> command{"redis-server", config};
  if (options_.is_sentinel) command.emplace_back("--sentinel");
  pid_ = start_program(command);
  bool answers = eventually([this] {
    try {
      auto reply = PlainConnection(port_).run({"PING"});
      return reply.text == "PONG" || reply.text.starts_with("NOAUTH");
    } catch (const std::runtime_error&) {
      if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = -1;
        fail_with("redis-server ended: see " + (folder_.path() / "redis.log").string());
      }
      return false;
    }
  });
  if (!answers) fail_with("redis-server does not answer");
}

void RedisServer::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void RedisServer::stop() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void RedisServer::restart() {
  kill();
  start();
}

void RedisServer::pause() {
  ::kill(pid_, SIGSTOP);
}

void RedisServer::resume() {
  ::kill(pid_, SIGCONT);
}

Reply RedisServer::run(const std::vector<std::string_view>& words) const {
  PlainConnection connection(port_);
  if (!password_.empty()) connection.run({"AUTH", password_});
  return connection.run(words);
}

}  // namespace hearth::redis

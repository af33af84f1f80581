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
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <fstream>
#include <future>
#include <random>
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

// Below those that the system gives to outgoing connections: one of these could take the port of a server that is down,
// and a client that calls it again and again could in the end reach itself.
std::uint16_t free_port() {
  constexpr int kFirst = 10'000;
  constexpr int kCount = 22'000;
  static std::atomic<int> next = static_cast<int>(std::random_device{}() % kCount);
  for (int tries = 0; tries < kCount; ++tries) {
    auto port = static_cast<std::uint16_t>(kFirst + next++ % kCount);
    File socket_of_it(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto address = loopback(port);
    if (bind(socket_of_it.handle(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return port;
  }
  fail_with("no free port");
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
  close_range(STDERR_FILENO + 1, ~0U, 0);  // or a proxy's connections would live as long as this program
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

// --- RedisCluster ---

namespace {

RedisServerOptions cluster_node(RedisServerOptions options) {
  for (const char* line :
       {"cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 1500", "cluster-replica-validity-factor 0"}) {
    options.config.emplace_back(line);
  }
  return options;
}

void require_ok(const Reply& reply) {
  if (reply.text != "OK") fail_with("a cluster was not made: " + reply.text);
}

bool info_says(const RedisServer& node, const std::vector<std::string_view>& words, std::string_view what) {
  return node.run(words).text.find(what) != std::string::npos;
}

}  // namespace

RedisCluster::RedisCluster(RedisServerOptions options) {
  for (std::size_t i = 0; i < kNodes; ++i) nodes_.push_back(std::make_unique<RedisServer>(cluster_node(options)));
  for (std::size_t i = 0; i < kNodes; ++i) {
    require_ok(node(i).run({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)}));
    if (i > 0) require_ok(node(0).run({"CLUSTER", "MEET", "127.0.0.1", std::to_string(node(i).port()), std::to_string(node(i).bus_port_)}));
    if (i >= kPrimaries) continue;
    auto first = std::to_string(i * kSlots / kPrimaries);
    auto last = std::to_string((i + 1) * kSlots / kPrimaries - 1);
    require_ok(node(i).run({"CLUSTER", "ADDSLOTSRANGE", first, last}));
  }
  bool has_met = eventually([this] {
    return std::ranges::all_of(nodes_, [](const auto& each) { return info_says(*each, {"CLUSTER", "INFO"}, "cluster_known_nodes:6"); });
  });
  if (!has_met) fail_with("the nodes of a cluster do not meet");
  for (std::size_t i = kPrimaries; i < kNodes; ++i) require_ok(node(i).run({"CLUSTER", "REPLICATE", id_of(i - kPrimaries)}));
  if (!eventually([this] { return is_healthy(); })) fail_with("a cluster does not become healthy");
}

std::string RedisCluster::url() const {
  std::string hosts;
  for (const auto& each : nodes_) hosts += (hosts.empty() ? "" : ",") + each->address();
  return "redis://" + hosts;
}

std::string RedisCluster::id_of(std::size_t index) const {
  return nodes_[index]->run({"CLUSTER", "MYID"}).text;
}

std::size_t RedisCluster::primary_of(std::uint16_t slot) const {
  for (const auto& asked : nodes_) {
    if (asked->pid() < 0) continue;
    for (const Reply& range : asked->run({"CLUSTER", "SLOTS"}).elements) {
      if (slot < range.elements[0].integer || slot > range.elements[1].integer) continue;
      auto port = range.elements[2].elements[1].integer;
      auto found = std::ranges::find_if(nodes_, [port](const auto& each) { return each->port() == port; });
      return static_cast<std::size_t>(found - nodes_.begin());
    }
  }
  fail_with("no node has the slot");
}

std::size_t RedisCluster::kill_primary_of(std::uint16_t slot) {
  auto index = primary_of(slot);
  nodes_[index]->kill();
  return index;
}

bool RedisCluster::is_healthy() const {
  return std::ranges::all_of(nodes_, [](const auto& each) {
    if (each->pid() < 0) return true;
    if (!info_says(*each, {"CLUSTER", "INFO"}, "cluster_state:ok")) return false;
    if (!info_says(*each, {"INFO", "replication"}, "role:slave")) return true;
    return info_says(*each, {"INFO", "replication"}, "master_link_status:up");
  });
}

// --- TcpProxy ---

// One thread with all sockets; what the test asks for is done there.
class TcpProxy::Impl {
 public:
  explicit Impl(std::uint16_t target_port)
      : target_(Tcp::endpoint(boost::asio::ip::address_v4::loopback(), target_port)), acceptor_(io_.get_executor()) {
    listen(port_);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Impl() {
    on_thread([this] {
      refuse();
      io_.stop();
    });
    thread_.join();
  }

  template <typename Act>
  void on_thread(Act act) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      act();
      done.set_value();
    });
    done.get_future().wait();
  }

  void listen(std::uint16_t port) {
    if (acceptor_.is_open()) return;
    acceptor_.open(Tcp::v4());
    acceptor_.set_option(boost::asio::socket_base::reuse_address(true));
    acceptor_.bind(Tcp::endpoint(boost::asio::ip::address_v4::loopback(), port));
    acceptor_.listen();
    boost::asio::co_spawn(io_, accept_all(), boost::asio::detached);
  }
  void cut() {
    for (auto& weak : pairs_) {
      if (auto pair = weak.lock()) pair->close();
    }
    pairs_.clear();
  }
  void refuse() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    cut();
  }

  std::uint16_t port() const { return port_; }

  milliseconds delay{};
  bool is_swallowing = false;

 private:
  using Tcp = boost::asio::ip::tcp;
  using Socket = boost::asio::basic_stream_socket<Tcp, Executor>;
  using Timer = boost::asio::basic_waitable_timer<steady_clock, boost::asio::wait_traits<steady_clock>, Executor>;
  static constexpr auto kTuple = boost::asio::as_tuple(use_task);

  struct Pair {
    explicit Pair(Socket accepted) : client(std::move(accepted)), server(client.get_executor()) {}
    void close() {
      boost::system::error_code ignored;
      client.close(ignored);
      server.close(ignored);
    }
    Socket client;
    Socket server;
  };

  Task<void> accept_all() {
    while (acceptor_.is_open()) {
      Socket socket(io_.get_executor());
      auto [refused] = co_await acceptor_.async_accept(socket, kTuple);
      if (refused) continue;
      auto pair = std::make_shared<Pair>(std::move(socket));
      auto [unreachable] = co_await pair->server.async_connect(target_, kTuple);
      if (unreachable) continue;
      pairs_.push_back(pair);
      boost::asio::co_spawn(io_, pump(pair, pair->client, pair->server, false), boost::asio::detached);
      boost::asio::co_spawn(io_, pump(pair, pair->server, pair->client, true), boost::asio::detached);
    }
  }

  Task<void> pump(std::shared_ptr<Pair> pair, Socket& from, Socket& to, bool are_answers) {
    std::array<char, 16u << 10> bytes;
    Timer pause(io_);
    while (true) {
      auto [ended, size] = co_await from.async_read_some(boost::asio::buffer(bytes), kTuple);
      if (ended) break;
      if (delay.count() > 0) {
        pause.expires_after(delay);
        co_await pause.async_wait(kTuple);
      }
      if (are_answers && is_swallowing) continue;
      auto [broken, written] = co_await boost::asio::async_write(to, boost::asio::buffer(bytes, size), kTuple);
      if (broken) break;
    }
    pair->close();
  }

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<Executor> work_{io_.get_executor()};  // also while nothing is listened to
  const Tcp::endpoint target_;
  boost::asio::basic_socket_acceptor<Tcp, Executor> acceptor_;
  const std::uint16_t port_ = free_port();
  std::vector<std::weak_ptr<Pair>> pairs_;
  std::thread thread_;
};

TcpProxy::TcpProxy(std::uint16_t target_port) : impl_(std::make_unique<Impl>(target_port)) {}

TcpProxy::~TcpProxy() = default;

std::uint16_t TcpProxy::port() const {
  return impl_->port();
}

void TcpProxy::delay(milliseconds each) {
  impl_->on_thread([&] { impl_->delay = each; });
}

void TcpProxy::swallow_answers() {
  impl_->on_thread([this] { impl_->is_swallowing = true; });
}

void TcpProxy::cut() {
  impl_->on_thread([this] { impl_->cut(); });
}

void TcpProxy::refuse() {
  impl_->on_thread([this] { impl_->refuse(); });
}

void TcpProxy::resume() {
  impl_->on_thread([this] {
    impl_->delay = {};
    impl_->is_swallowing = false;
    impl_->listen(impl_->port());
  });
}

}  // namespace hearth::redis

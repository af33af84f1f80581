#include "hearth/drivers/postgres/test_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "hearth/drivers/postgres/connection.h"

namespace hearth::postgres {

namespace {

constexpr std::chrono::seconds kStartMax{60};
constexpr int kPortsTriedMax = 5;

// The folder of initdb and postgres: Debian does not put it into PATH.
std::filesystem::path programs() {
  std::filesystem::path newest;
  int newest_version = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
    int version = std::atoi(entry.path().filename().c_str());
    if (version <= newest_version || !std::filesystem::exists(entry.path() / "bin/postgres")) continue;
    newest_version = version;
    newest = entry.path() / "bin";
  }
  if (newest.empty()) throw std::runtime_error("no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql");
  return newest;
}

// The thread from which servers are started. The kernel ties a child's life to the thread that made it, so this one lives as
// long as the process.
class Starter {
 public:
  static Starter& instance() {
    static auto& starter = *new Starter();
    return starter;
  }
  pid_t start(std::function<pid_t()> forks) {
    std::packaged_task<pid_t()> task(std::move(forks));
    auto started = task.get_future();
    {
      std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    changed_.notify_one();
    return started.get();
  }

 private:
  Starter() {
    std::thread([this] {
      while (true) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !tasks_.empty(); });
        auto task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        task();
      }
    }).detach();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::packaged_task<pid_t()>> tasks_;
};

struct User {
  uid_t user;
  gid_t group;
};

// PostgreSQL refuses to run as root.
User server_user() {
  if (geteuid() != 0) return {geteuid(), getegid()};
  const passwd* found = getpwnam("postgres");
  if (found == nullptr) throw std::runtime_error("as root the server runs as the user postgres, who does not exist here");
  return {found->pw_uid, found->pw_gid};
}

// Between fork and exec only what is safe in the child of a process with threads.
[[noreturn]] void become(const User& user, pid_t parent, const char* log, char* const* arguments) {
  if (geteuid() == 0 && (setgroups(1, &user.group) != 0 || setgid(user.group) != 0 || setuid(user.user) != 0)) _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (getppid() != parent) _exit(125);
  int output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (output < 0 || input < 0 || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(124);
  close_range(STDERR_FILENO + 1, ~0U, 0);  // or the connections of others would live as long as this program
  execv(arguments[0], arguments);
  _exit(127);
}

pid_t start_process(std::vector<std::string> arguments, const std::filesystem::path& log) {
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  User user = server_user();
  pid_t pid = Starter::instance().start([&] {
    pid_t parent = getpid();
    pid_t made = fork();
    if (made == 0) become(user, parent, log.c_str(), pointers.data());
    return made;
  });
  if (pid < 0) throw std::runtime_error("cannot start " + arguments[0]);
  return pid;
}

// Waits until the process is gone, whosever child it is.
void wait_until_gone(int pidfd) {
  pollfd waited{.fd = pidfd, .events = POLLIN, .revents = 0};
  while (poll(&waited, 1, -1) < 0) {
  }
  close(pidfd);
}

std::uint16_t free_port() {
  int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bool bound =
      bind(made, reinterpret_cast<sockaddr*>(&address), size) == 0 && getsockname(made, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(made);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::filesystem::path make_folder() {
  const char* base = getenv("TMPDIR");
  std::string pattern = std::string(base == nullptr ? "/tmp" : base) + "/hearth-postgres-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a folder like " + pattern);
  User user = server_user();
  if (chown(pattern.c_str(), user.user, user.group) != 0) throw std::runtime_error("cannot give away " + pattern);
  return pattern;
}

}  // namespace

PostgresServer::PostgresServer() : folder_(make_folder()) {
  auto log = folder_ / "initdb.log";
  pid_t initdb = start_process({programs() / "initdb", "--pgdata", folder_ / "data", "--no-sync", "--auth", "trust", "--username", "hearth",
                                "--encoding", "UTF8", "--locale", "C"},
                               log);
  int status = 0;
  if (waitpid(initdb, &status, 0) != initdb || status != 0) throw std::runtime_error("initdb: " + content_of(log));
  for (int tried = 1;; ++tried) {
    port_ = free_port();  // another program may take it before the server does
    try {
      start();
      return;
    } catch (const std::runtime_error&) {
      if (tried == kPortsTriedMax) throw;
    }
  }
}

PostgresServer::~PostgresServer() {
  if (postmaster_ > 0) {
    resume();
    ::kill(postmaster_, SIGQUIT);
    waitpid(postmaster_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string PostgresServer::url_of(std::string_view database) const {
  return "postgres://hearth@127.0.0.1:" + std::to_string(port_) + "/" + std::string(database);
}

std::string PostgresServer::create_database(std::string_view name) {
  auto database = std::string(name) + "_" + std::to_string(++databases_);
  // Text is ordered as in a language, as in most databases: what relies on the order of bytes has to say so.
  Connection::connect({.url = url()})
      .execute("CREATE DATABASE \"" + database + "\" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'");
  return url_of(database);
}

void PostgresServer::start() {
  postmaster_ =
      start_process({programs() / "postgres", "-D", folder_ / "data", "-p", std::to_string(port_), "-c", "listen_addresses=127.0.0.1", "-c",
                     "unix_socket_directories=", "-c", "shared_buffers=16MB", "-c", "max_wal_size=64MB", "-c", "jit=off"},
                    folder_ / "server.log");
  wait_until_it_answers();
}

void PostgresServer::wait_until_it_answers() {
  auto deadline = std::chrono::steady_clock::now() + kStartMax;
  while (PQping(url().c_str()) != PQPING_OK) {
    bool has_ended = waitpid(postmaster_, nullptr, WNOHANG) == postmaster_;
    if (has_ended) postmaster_ = -1;
    if (has_ended || std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("PostgreSQL does not start: " + content_of(folder_ / "server.log"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::vector<pid_t> PostgresServer::children() const {
  auto pid = std::to_string(postmaster_);
  std::ifstream file("/proc/" + pid + "/task/" + pid + "/children");
  return {std::istream_iterator<pid_t>(file), {}};
}

void PostgresServer::kill() {
  ::kill(postmaster_, SIGSTOP);  // it makes no more children now
  std::vector<int> gone;
  for (pid_t child : children()) {
    int pidfd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    ::kill(child, SIGKILL);
    if (pidfd >= 0) gone.push_back(pidfd);
  }
  ::kill(postmaster_, SIGKILL);
  waitpid(postmaster_, nullptr, 0);
  postmaster_ = -1;
  std::ranges::for_each(gone, wait_until_gone);
}

void PostgresServer::stop() {
  ::kill(postmaster_, SIGINT);
  waitpid(postmaster_, nullptr, 0);
  postmaster_ = -1;
}

void PostgresServer::pause() {
  ::kill(postmaster_, SIGSTOP);
  for (pid_t child : children()) ::kill(child, SIGSTOP);
}

void PostgresServer::resume() {
  for (pid_t child : children()) ::kill(child, SIGCONT);
  ::kill(postmaster_, SIGCONT);
}

}  // namespace hearth::postgres

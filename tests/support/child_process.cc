#include "tests/support/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace hearth::tests {
namespace {

using std::chrono::steady_clock;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

int milliseconds_until(steady_clock::time_point deadline) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

[[noreturn]] void throw_errno(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

// Waits until the process has ended, without taking its status.
bool has_ended_by(pid_t id, steady_clock::time_point deadline) {
  int handle = static_cast<int>(syscall(SYS_pidfd_open, id, 0));
  if (handle < 0) throw_errno("pidfd_open");
  pollfd ended{.fd = handle, .events = POLLIN, .revents = 0};
  int ready = -1;
  do {
    ready = poll(&ended, 1, milliseconds_until(deadline));
  } while (ready < 0 && errno == EINTR);
  close(handle);
  return ready > 0;
}

}  // namespace

ChildProcess::ChildProcess(std::vector<std::string> arguments, std::vector<std::string> environment) {
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) throw_errno("pipe2");
  errors_ = memfd_create("errors", MFD_CLOEXEC);
  if (errors_ < 0) throw_errno("memfd_create");
  auto argv = pointers(arguments);
  auto envp = pointers(environment);

  id_ = fork();
  if (id_ < 0) throw_errno("fork");
  if (id_ == 0) {
    // Only what is safe after fork() in a program with threads.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    dup2(output[1], STDOUT_FILENO);
    dup2(errors_, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);  // or the connections of others would live as long as this program
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(output[1]);
  output_ = output[0];
}

ChildProcess::~ChildProcess() {
  if (id_ > 0) {
    ::kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
  }
  close(output_);
  close(errors_);
}

// False: the output has ended.
bool ChildProcess::read_more() {
  pollfd readable{.fd = output_, .events = POLLIN, .revents = 0};
  if (poll(&readable, 1, milliseconds_until(steady_clock::now() + kPatience)) == 0) throw std::runtime_error("a program says nothing");
  char bytes[4096];
  auto size = read(output_, bytes, sizeof bytes);
  if (size > 0) unread_.append(bytes, static_cast<std::size_t>(size));
  return size > 0;
}

std::optional<std::string> ChildProcess::read_line() {
  for (;;) {
    if (auto end = unread_.find('\n'); end != std::string::npos) {
      auto line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (!read_more()) return std::nullopt;
  }
}

std::string ChildProcess::read_rest() {
  while (read_more()) {
  }
  return std::exchange(unread_, {});
}

std::string ChildProcess::errors() const {
  struct stat file{};
  fstat(errors_, &file);
  std::string text(static_cast<std::size_t>(file.st_size), '\0');
  auto size = pread(errors_, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

void ChildProcess::signal(int number) const {
  if (id_ > 0) ::kill(id_, number);
}

void ChildProcess::pause() const {
  signal(SIGSTOP);
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(id_), &info, WSTOPPED) != 0) throw_errno("waitid");
}

void ChildProcess::resume() const {
  signal(SIGCONT);
}

ExitStatus ChildProcess::wait() {
  if (status_) return *status_;
  if (!has_ended_by(id_, steady_clock::now() + kPatience)) throw std::runtime_error("a program does not end; it said: " + errors());
  int status = 0;
  waitpid(id_, &status, 0);
  id_ = -1;
  status_ = WIFEXITED(status) ? ExitStatus{.code = WEXITSTATUS(status)} : ExitStatus{.signal = WTERMSIG(status)};
  return *status_;
}

CommandResult run_hearth(std::vector<std::string> arguments, std::vector<std::string> environment) {
  arguments.insert(arguments.begin(), HEARTH_EXECUTABLE);
  ChildProcess process(std::move(arguments), std::move(environment));
  CommandResult result{.output = process.read_rest()};
  result.code = process.wait().code;
  result.errors = process.errors();
  return result;
}

}  // namespace hearth::tests

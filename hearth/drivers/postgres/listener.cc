#include "hearth/drivers/postgres/listener.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/log.h"
#include "hearth/base/thread_name.h"
#include "hearth/drivers/postgres/connection.h"

namespace hearth::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kRetryFirst{50};
constexpr milliseconds kRetryMax{5'000};
constexpr milliseconds kRefusedRetry{60'000};  // of LISTEN itself: what stands between us and the server may be changed
constexpr milliseconds kConnectMax{10'000};
constexpr milliseconds kAnswerMax{10'000};

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Handle = std::unique_ptr<PGconn, Finish>;

// One line of what libpq says, which ends with several.
std::string reason_of(const Handle& handle) {
  std::string message = handle ? PQerrorMessage(handle.get()) : "no memory";
  return message.substr(0, message.find('\n'));
}

}  // namespace

class Listener::Impl {
 public:
  Impl(std::string url, std::string channel, std::function<void()> on_notice)
      : url_(std::move(url)), channel_(std::move(channel)), on_notice_(std::move(on_notice)), stop_event_(eventfd(0, EFD_CLOEXEC)) {
    HEARTH_ASSERT(stop_event_ >= 0);
    thread_ = std::thread([this] {
      name_thread("pg-listener");
      run();
    });
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    stop();
    close(stop_event_);
  }

  bool is_listening() const { return is_listening_; }

  void stop() {
    std::uint64_t one = 1;
    [[maybe_unused]] auto written = write(stop_event_, &one, sizeof one);  // the event stays set
    if (thread_.joinable()) thread_.join();
  }

 private:
  enum class Waited : std::uint8_t { kReady, kTimeout, kStopped };

  void run() {
    milliseconds delay = kRetryFirst;
    std::minstd_rand random(std::random_device{}());
    bool is_away = false;  // and that has been logged
    do {
      Handle handle = connect();
      if (handle && listen(handle)) {
        if (is_away) log::info("postgres", "listening again", {{"channel", channel_}});
        is_away = false;
        delay = kRetryFirst;
        is_listening_ = true;
        on_notice_();
        hear(handle);
        is_listening_ = false;
      } else if (!std::exchange(is_away, true) && !is_stopping()) {
        log::warning("postgres", "cannot listen; looking from time to time instead", {{"channel", channel_}, {"reason", failure_}});
      }
      handle.reset();
      auto pause = is_refused_ ? kRefusedRetry : delay + milliseconds(random() % static_cast<unsigned>(delay.count() / 4 + 1));
      delay = std::min(2 * delay, kRetryMax);
      if (wait(-1, 0, steady_clock::now() + pause) == Waited::kStopped) return;
    } while (true);
  }

  bool is_stopping() { return wait(-1, 0, steady_clock::now()) == Waited::kStopped; }

  // Null: it did not come about, and failure_ says why.
  Handle connect() {
    is_refused_ = false;
    // A server that is gone without a word is noticed within half a minute.
    const char* names[] = {"fallback_application_name", "keepalives_idle", "keepalives_interval", "keepalives_count", "dbname", nullptr};
    const char* values[] = {"hearth", "15", "5", "3", url_.c_str(), nullptr};
    Handle handle(PQconnectStartParams(names, values, /*expand_dbname=*/1));
    auto deadline = steady_clock::now() + kConnectMax;
    short events = POLLOUT;
    while (handle && PQstatus(handle.get()) != CONNECTION_BAD) {
      if (wait(PQsocket(handle.get()), events, deadline) != Waited::kReady) {
        failure_ = "no answer";
        return nullptr;
      }
      auto state = PQconnectPoll(handle.get());
      if (state == PGRES_POLLING_OK) return handle;
      if (state == PGRES_POLLING_FAILED) break;
      events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    }
    failure_ = reason_of(handle);
    return nullptr;
  }

  bool listen(Handle& handle) {
    PQsetNoticeProcessor(handle.get(), [](void*, const char*) {}, nullptr);
    char* quoted = PQescapeIdentifier(handle.get(), channel_.data(), channel_.size());
    bool is_sent = quoted != nullptr && PQsendQuery(handle.get(), (std::string("LISTEN ") + quoted).c_str()) != 0;
    PQfreemem(quoted);
    bool is_heard = false;
    auto deadline = steady_clock::now() + kAnswerMax;
    while (is_sent) {
      while (PQisBusy(handle.get()) != 0) {
        if (wait(PQsocket(handle.get()), POLLIN, deadline) != Waited::kReady || PQconsumeInput(handle.get()) == 0) {
          failure_ = "no answer";
          return false;
        }
      }
      PGresult* result = PQgetResult(handle.get());
      if (result == nullptr) break;
      is_heard = PQresultStatus(result) == PGRES_COMMAND_OK;
      PQclear(result);
    }
    is_refused_ = is_sent && !is_heard && PQstatus(handle.get()) == CONNECTION_OK;
    if (!is_heard) failure_ = reason_of(handle);
    return is_heard;
  }

  // Until the connection is lost or this is stopped.
  void hear(Handle& handle) {
    while (wait(PQsocket(handle.get()), POLLIN, steady_clock::time_point::max()) == Waited::kReady) {
      bool is_alive = PQconsumeInput(handle.get()) != 0;
      bool has_notice = false;
      while (PGnotify* notice = PQnotifies(handle.get())) {
        has_notice = true;
        PQfreemem(notice);
      }
      if (has_notice) on_notice_();
      if (!is_alive) return;
    }
  }

  // Waits for the socket, if there is one, and for stop().
  Waited wait(int socket, short events, steady_clock::time_point deadline) const {
    pollfd waited[] = {{.fd = stop_event_, .events = POLLIN, .revents = 0}, {.fd = socket, .events = events, .revents = 0}};
    while (true) {
      int timeout = -1;
      if (deadline != steady_clock::time_point::max()) {
        timeout = static_cast<int>(std::max<std::int64_t>(0, std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count()));
      }
      int ready = poll(waited, 2, timeout);
      if (ready < 0 && errno == EINTR) continue;
      if (waited[0].revents != 0) return Waited::kStopped;
      return ready > 0 ? Waited::kReady : Waited::kTimeout;
    }
  }

  const std::string url_;
  const std::string channel_;
  const std::function<void()> on_notice_;
  const int stop_event_;
  std::atomic<bool> is_listening_{false};
  std::string failure_;      // of the last attempt
  bool is_refused_ = false;  // connected, and not allowed to listen
  std::thread thread_;
};

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Listener::~Listener() = default;

Result<std::unique_ptr<Listener>> Listener::open(std::string url, std::string channel, std::function<void()> on_notice) {
  if (auto checked = Connection::check_url(url); !checked) return std::unexpected(checked.error());
  return std::unique_ptr<Listener>(new Listener(std::make_unique<Impl>(std::move(url), std::move(channel), std::move(on_notice))));
}

bool Listener::is_listening() const {
  return impl_->is_listening();
}

void Listener::stop() {
  impl_->stop();
}

}  // namespace hearth::postgres

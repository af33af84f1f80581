#include <signal.h>
#include <sys/resource.h>

#include <cstdio>

#include "hearth/app/commands/command_line.h"
#include "hearth/app/wiring.h"
#include "hearth/base/log.h"

namespace hearth::app {
namespace {

// Blocks the signals that stop us or tell us to look for other settings in this thread and all that are started from it; wait() takes them.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    signal(SIGPIPE, SIG_IGN);
  }
  // The one that stops us. `reload` is called at each SIGHUP until then.
  template <typename Reload>
  int wait(Reload reload) const {
    for (int signal_number = 0;; reload()) {
      sigwait(&set_, &signal_number);
      if (signal_number != SIGHUP) return signal_number;
      log::info("app", "reloading", {{"signal", signal_number}});
    }
  }

 private:
  sigset_t set_;
};

// Each connection is an open file: ask for as many as the system grants.
void raise_open_files_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int report(const Error& error) {
  complain("hearth: " + error.message);
  return kFailed;
}

}  // namespace

int serve(const Arguments& arguments) {
  CommandLine command("serve", "Serves the HTTP API until it is told to stop (SIGTERM).");
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;

  StopSignals signals;
  raise_open_files_limit();
  SystemClock clock;
  auto hearth = Hearth::open(*config, clock);
  if (!hearth) return report(hearth.error());
  if (config->demo) {
    if (auto loaded = (*hearth)->load_demo(); !loaded) return report(loaded.error());
  }
  auto service = Service::open(*config, **hearth);
  if (!service) return report(service.error());

  if (!config->auth.is_configured()) log::warning("app", "no key is configured: every caller on this machine may do everything");
  (*service)->start();
  (*hearth)->scheduled_reconcile.start();
  if (auto started = (*hearth)->background_jobs->start(); !started) return report(started.error());
  std::string address = "http://" + ListenAddress{config->listen.host, (*service)->port()}.text();
  (*hearth)->folder.announce(address);
  std::printf("listening on %s\n", address.c_str());
  std::fflush(stdout);

  int signal_number = signals.wait([&] { (*service)->reload(); });
  log::info("app", "stopping", {{"signal", signal_number}});
  (*service)->stop(config->http.stop_grace);
  (*hearth)->stop();
  log::info("app", "stopped");
  return kDone;
}

}  // namespace hearth::app

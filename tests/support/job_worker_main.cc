// hearth_job_worker: what job_worker.h describes. It runs until it is killed.

#include <fcntl.h>
#include <unistd.h>

#include <boost/json/value.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/http_client.h"
#include "tests/support/job_worker.h"

namespace hearth::tests {
namespace {

constexpr std::chrono::milliseconds kBetweenTries{10};  // while no node answers
constexpr int kRenewalsPerLease = 4;

struct HeldJob {
  std::string id;
  std::string lease_token;
};

// One thread of the worker.
class Worker {
 public:
  Worker(const WorkerOptions& options, int account, std::uint64_t seed) : options_(options), account_(account), random_(seed) {}

  [[noreturn]] void run() {
    for (;;) {
      auto held = claim();
      if (options_.holds && !held.empty()) hold(held);
      for (const auto& job : held) end(job);
    }
  }

 private:
  // One line, in one write.
  void note(const std::string& what, const HeldJob& job, const std::string& rest = {}) {
    std::string line = what + ' ' + job.id + ' ' + job.lease_token + (rest.empty() ? "" : ' ' + rest) + '\n';
    if (write(account_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::abort();
  }

  std::vector<HeldJob> claim() {
    if (random_() % 16 == 0) http_.reset();  // each node shall have some of the workers
    auto answer = ask("/api/jobs/claim", R"({"workerId":")" + options_.name + R"(","jobTypes":[")" + options_.type + R"("],"limit":)" +
                                             std::to_string(options_.limit) + R"(,"leaseMs":)" + std::to_string(options_.lease.count()) +
                                             R"(,"waitMs":1000})");
    if (answer.status != 200) {
      note("wrong", {"-", "-"}, std::to_string(answer.status) + answer.body);
      return {};
    }
    std::vector<HeldJob> held;
    auto claimed = answer.json();
    for (const auto& job : claimed.at("jobs").as_array()) {
      held.push_back({std::string(job.at("id").as_string()), std::string(job.at("leaseToken").as_string())});
      note("claimed", held.back());
    }
    return held;
  }

  [[noreturn]] void hold(const std::vector<HeldJob>& held) {
    for (;;) {
      for (const auto& job : held) report(job, "heartbeat", "", "renewed");
      std::this_thread::sleep_for(options_.lease / kRenewalsPerLease);
    }
  }

  // Most are completed; some fail or are put off, and come again at once.
  void end(const HeldJob& job) {
    switch (random_() % 24) {
      case 0:
        return report(job, "fail", R"(,"error":"it did not work","retryAfterSeconds":0)", "failed");
      case 1:
        return report(job, "snooze", R"(,"seconds":0)", "snoozed");
      case 2:
        report(job, "heartbeat", R"(,"progress":{"done":0.5})", "renewed");
        [[fallthrough]];
      default:
        return report(job, "complete", R"(,"result":{"by":")" + options_.name + "\"}", "completed");
    }
  }

  void report(const HeldJob& job, const std::string& action, const std::string& fields, const std::string& event) {
    auto answer = ask("/api/jobs/" + job.id + "/" + action, R"({"leaseToken":")" + job.lease_token + '"' + fields + '}');
    if (answer.status == 200) {
      bool is_repeated = answer.body.find("\"repeated\":true") != std::string::npos;
      note(is_repeated && event == "completed" ? "repeated" : event, job);
    } else if (answer.status == 409 && answer.json().at("code").as_string() == "stale_lease") {
      // What is put off leaves no trace: asking again looks like asking late.
      note(action == "snooze" && is_asked_again_ ? "lost" : "stale", job);
    } else {
      note("wrong", job, action + ' ' + std::to_string(answer.status) + answer.body);
    }
  }

  // Asks until a node answers.
  Answer ask(const std::string& target, const std::string& body) {
    is_asked_again_ = false;
    for (;; is_asked_again_ = true) {
      try {
        if (!http_) connect();
        if (http_) {
          auto answer = http_->post(target, body);
          if (answer.status != 503) return answer;
        }
      } catch (const std::runtime_error&) {  // the node went away, or stands still
      }
      http_.reset();
      std::this_thread::sleep_for(kBetweenTries);
    }
  }

  // To any node that serves, if there is one.
  void connect() {
    std::ifstream file(options_.ports);
    std::vector<std::uint16_t> ports;
    for (int port = 0; file >> port;) {
      if (port != 0) ports.push_back(static_cast<std::uint16_t>(port));
    }
    if (!ports.empty()) http_.emplace(ports[random_() % ports.size()]);
  }

  const WorkerOptions& options_;
  const int account_;
  std::mt19937_64 random_;
  std::optional<HttpClient> http_;
  bool is_asked_again_ = false;
};

int work(const std::vector<std::string>& arguments) {
  if (arguments.size() != 8) {
    std::fprintf(stderr, "hearth_job_worker NAME TYPE LEASE_MS LIMIT end|hold PORTS ACCOUNT\n");
    return 2;
  }
  WorkerOptions options{.name = arguments[1],
                        .type = arguments[2],
                        .lease = std::chrono::milliseconds(std::stol(arguments[3])),
                        .limit = std::stoul(arguments[4]),
                        .holds = arguments[5] == "hold",
                        .ports = arguments[6],
                        .account = arguments[7]};
  int account = open(options.account.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (account < 0) {
    std::perror(options.account.c_str());
    return 1;
  }
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kWorkerThreads; ++i) {
    threads.emplace_back([&options, account] { Worker(options, account, std::random_device{}()).run(); });
  }
  for (auto& thread : threads) thread.join();
  return 0;
}

}  // namespace
}  // namespace hearth::tests

int main(int count, char** arguments) {
  return hearth::tests::work({arguments, arguments + count});
}

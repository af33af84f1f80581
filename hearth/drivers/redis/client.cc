#include "hearth/drivers/redis/client.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <mutex>
#include <thread>

#include "hearth/base/thread_name.h"
#include "hearth/drivers/redis/call.h"
#include "hearth/drivers/redis/router.h"
#include "hearth/drivers/redis/url.h"

namespace hearth::redis {
namespace {

using Outcomes = std::vector<Outcome<Reply>>;

Outcome<Reply> take_one(Batch& batch) {
  return std::move(batch.calls.front().outcome);
}

Outcomes take_all(Batch& batch) {
  Outcomes outcomes;
  outcomes.reserve(batch.calls.size());
  for (Call& call : batch.calls) outcomes.push_back(std::move(call.outcome));
  return outcomes;
}

// Resumes a coroutine.
template <typename Handler, auto kTake>
struct Resume final : Batch {
  Resume(std::vector<Call> its_calls, Handler h) : Batch(std::move(its_calls), &h.get_executor().context()), handler(std::move(h)) {}
  void deliver() override { std::move(handler)(kTake(*this)); }
  Handler handler;
};

// Wakes a thread that blocks.
template <typename Answer, auto kTake>
struct Fulfil final : Batch {
  explicit Fulfil(std::vector<Call> its_calls) : Batch(std::move(its_calls), nullptr) {}
  void deliver() override { promise.set_value(kTake(*this)); }
  std::promise<Answer> promise;
};

template <typename Item>
std::vector<Call> to_calls(Item item) {
  std::vector<Call> calls;
  calls.push_back(to_call(std::move(item)));
  return calls;
}

template <typename Item>
std::vector<Call> to_calls(std::vector<Item> items) {
  std::vector<Call> calls;
  calls.reserve(items.size());
  for (Item& item : items) calls.push_back(to_call(std::move(item)));
  return calls;
}

Result<std::unique_ptr<boost::asio::ssl::context>> tls_context(const Url& url, const ClientOptions& options) {
  namespace ssl = boost::asio::ssl;
  if (!url.is_tls) return nullptr;
  auto context = std::make_unique<ssl::context>(ssl::context::tls_client);
  boost::system::error_code error;
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
  context->set_verify_mode(ssl::verify_peer);
  if (options.tls_ca_file) {
    context->load_verify_file(*options.tls_ca_file, error);
    if (error) return invalid("redis.tls_ca_file", *options.tls_ca_file + ": " + error.message());
  } else {
    context->set_default_verify_paths(error);
    if (error) return fail(ErrorCode::kUnavailable, "the system's certificates: " + error.message());
  }
  return context;
}

}  // namespace

class Client::Impl {
 public:
  Impl(ClientOptions options, Url url, std::unique_ptr<boost::asio::ssl::context> tls)
      : options_(std::move(options)), tls_(std::move(tls)), router(io_, options_, std::move(url), tls_.get()), thread_([this] {
          name_thread("redis");
          router.start();
          io_.run();
        }) {}

  void submit(std::unique_ptr<Batch> batch) {
    auto& pending = router.pending_bytes();
    auto bytes = batch->bytes;
    if (pending.fetch_add(bytes, std::memory_order_relaxed) + bytes > options_.pending_bytes_max) {
      pending.fetch_sub(bytes, std::memory_order_relaxed);
      return refuse(std::move(batch), "too much is waiting for Redis");
    }
    bool must_wake = false;
    {
      std::lock_guard lock(mutex_);
      if (!is_closed_) {
        must_wake = queue_.empty();
        queue_.push_back(std::move(batch));
      }
    }
    if (batch) return refuse(std::move(batch), "the client is stopped");
    if (must_wake) boost::asio::post(io_, [this] { router.take(take_queue()); });
  }

  template <auto kTake, typename Items>
  auto when_answered(Items items) {
    using Answer = decltype(kTake(std::declval<Batch&>()));
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<Executor>, void(Answer)>(
        [this](auto handler, std::vector<Call> calls) {
          submit(std::make_unique<Resume<decltype(handler), kTake>>(std::move(calls), std::move(handler)));
        },
        use_task, to_calls(std::move(items)));
  }

  template <auto kTake, typename Items>
  auto block_until_answered(Items items) {
    using Answer = decltype(kTake(std::declval<Batch&>()));
    auto batch = std::make_unique<Fulfil<Answer, kTake>>(to_calls(std::move(items)));
    auto answer = batch->promise.get_future();
    submit(std::move(batch));
    return answer.get();
  }

  void stop() {
    std::call_once(stopped_, [this] {
      {
        std::lock_guard lock(mutex_);
        is_closed_ = true;
      }
      boost::asio::post(io_, [this] {
        router.take(take_queue());
        router.stop();
        io_.stop();  // a name that is being resolved is not waited for
      });
      thread_.join();
    });
  }

 private:
  std::vector<std::unique_ptr<Batch>> take_queue() {
    std::lock_guard lock(mutex_);
    return std::exchange(queue_, {});
  }

  // Without the client's thread. A coroutine that is only just being suspended must not be resumed at once.
  static void refuse(std::unique_ptr<Batch> batch, const char* why) {
    for (Call& call : batch->calls) call.outcome = std::unexpected(Failure{Failure::Kind::kNotSent, why});
    if (batch->context == nullptr) return batch->deliver();
    auto& context = *batch->context;
    boost::asio::post(context, [refused = std::move(batch)] { refused->deliver(); });
  }

  const ClientOptions options_;
  const std::unique_ptr<boost::asio::ssl::context> tls_;
  boost::asio::io_context io_{1};  // after the router of its coroutines
  std::mutex mutex_;
  std::vector<std::unique_ptr<Batch>> queue_;
  bool is_closed_ = false;
  std::once_flag stopped_;

 public:
  Router router;

 private:
  std::thread thread_;
};

Result<std::unique_ptr<Client>> Client::open(ClientOptions options) {
  auto url = parse_url(options.url);
  if (!url) return std::unexpected(url.error());
  auto tls = tls_context(*url, options);
  if (!tls) return std::unexpected(tls.error());
  return std::unique_ptr<Client>(new Client(std::make_unique<Impl>(std::move(options), *std::move(url), *std::move(tls))));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Client::~Client() {
  stop();
}

Task<Outcome<Reply>> Client::call(Command command) {
  return impl_->when_answered<take_one>(std::move(command));
}

Task<Outcomes> Client::call_all(std::vector<Command> commands) {
  if (commands.empty()) co_return Outcomes();
  co_return co_await impl_->when_answered<take_all>(std::move(commands));
}

Task<Outcome<Reply>> Client::run(ScriptCall call) {
  return impl_->when_answered<take_one>(std::move(call));
}

Task<Outcomes> Client::run_all(std::vector<ScriptCall> calls) {
  if (calls.empty()) co_return Outcomes();
  co_return co_await impl_->when_answered<take_all>(std::move(calls));
}

Outcome<Reply> Client::call_blocking(Command command) {
  return impl_->block_until_answered<take_one>(std::move(command));
}

Outcomes Client::call_all_blocking(std::vector<Command> commands) {
  if (commands.empty()) return {};
  return impl_->block_until_answered<take_all>(std::move(commands));
}

Outcome<Reply> Client::run_blocking(ScriptCall call) {
  return impl_->block_until_answered<take_one>(std::move(call));
}

bool Client::is_cluster() const {
  return impl_->router.is_cluster();
}

bool Client::is_connected() const {
  return impl_->router.is_connected();
}

bool Client::is_serving() const {
  return impl_->router.is_serving();
}

std::vector<ServerInfo> Client::servers() const {
  return impl_->router.servers();
}

void Client::admit(std::string_view run_id) {
  impl_->router.admit(run_id);
}

void Client::on_change(std::function<void()> listener) {
  impl_->router.on_change(std::move(listener));
}

Client::Stats Client::stats() const {
  return impl_->router.stats();
}

void Client::stop() {
  impl_->stop();
}

}  // namespace hearth::redis

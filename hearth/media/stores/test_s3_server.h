#pragma once

// The server that tests of S3 talk to: s3_test_server.py as a child, one for all tests.

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "hearth/media/stores/s3_media_store.h"

namespace hearth::media {

class S3Server {
 public:
  S3Server() {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    const auto script = (std::filesystem::path(__FILE__).parent_path() / "s3_test_server.py").string();
    std::array<std::string, 6> arguments = {"python3", script, "hearth-media", "eu-test-1", "AKIDTEST", "secret/key+"};
    std::array<char*, 7> pointers = {};
    for (std::size_t i = 0; i < arguments.size(); ++i) pointers[i] = arguments[i].data();
    int failed = posix_spawnp(&id_, "python3", &actions, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    input_ = in[1];
    FILE* output = fdopen(out[0], "r");
    bool has_port = failed == 0 && fscanf(output, "%d", &port_) == 1;
    fclose(output);
    if (!has_port) throw std::runtime_error("python3 does not start " + script);
  }
  S3Server(const S3Server&) = delete;
  S3Server& operator=(const S3Server&) = delete;
  ~S3Server() {
    close(input_);  // it ends by itself
    waitpid(id_, nullptr, 0);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  S3Options options() const {
    return {.endpoint = url(), .bucket = "hearth-media", .region = "eu-test-1", .access_key = "AKIDTEST", .secret_key = "secret/key+"};
  }

 private:
  pid_t id_ = -1;
  int input_ = -1;
  int port_ = 0;
};

inline S3Server& s3_server() {
  static S3Server started;
  return started;
}

}  // namespace hearth::media

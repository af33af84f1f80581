#pragma once

// Names the calling thread, so that `top -H`, gdb and perf say which part works. At most 15 bytes are kept.

#include <pthread.h>

#include <string>

namespace hearth {

inline void name_thread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace hearth

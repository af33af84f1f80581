#pragma once

// Bugs are assertions, cheap ones on in production. No input can reach one.

#include <cstdio>
#include <cstdlib>

#define HEARTH_ASSERT(condition)                                                             \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: assertion failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)

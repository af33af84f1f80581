#include "hearth/views/stores/redis/scripts.h"

#include <string>

namespace hearth::views::scripts {

// Written by CMake from the *.lua files.
extern const char kView[];
extern const char kInstall[];
extern const char kMarked[];
extern const char kSettle[];

const redis::Script& view() {
  static const redis::Script script{std::string(kView)};
  return script;
}
const redis::Script& install() {
  static const redis::Script script{std::string(kInstall)};
  return script;
}
const redis::Script& marked() {
  static const redis::Script script{std::string(kMarked)};
  return script;
}
const redis::Script& settle() {
  static const redis::Script script{std::string(kSettle)};
  return script;
}

}  // namespace hearth::views::scripts

#include "hearth/likes/stores/redis/scripts.h"

#include <string>

namespace hearth::likes::scripts {

// Written by CMake from the *.lua files.
extern const char kChange[];
extern const char kStage[];
extern const char kInstall[];
extern const char kDrop[];
extern const char kCopy[];
extern const char kReserve[];
extern const char kPrune[];
extern const char kRecount[];

const redis::Script& change() {
  static const redis::Script script{std::string(kChange)};
  return script;
}
const redis::Script& stage() {
  static const redis::Script script{std::string(kStage)};
  return script;
}
const redis::Script& install() {
  static const redis::Script script{std::string(kInstall)};
  return script;
}
const redis::Script& drop() {
  static const redis::Script script{std::string(kDrop)};
  return script;
}
const redis::Script& copy() {
  static const redis::Script script{std::string(kCopy)};
  return script;
}
const redis::Script& reserve() {
  static const redis::Script script{std::string(kReserve)};
  return script;
}
const redis::Script& prune() {
  static const redis::Script script{std::string(kPrune)};
  return script;
}
const redis::Script& recount() {
  static const redis::Script script{std::string(kRecount)};
  return script;
}

}  // namespace hearth::likes::scripts

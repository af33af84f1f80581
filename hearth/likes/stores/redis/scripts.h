#pragma once

// The Lua scripts of this folder; each file says what it takes and gives.

#include "hearth/drivers/redis/client.h"

namespace hearth::likes::scripts {

const redis::Script& change();
const redis::Script& stage();
const redis::Script& install();
const redis::Script& drop();
const redis::Script& copy();
const redis::Script& reserve();
const redis::Script& prune();
const redis::Script& recount();

}  // namespace hearth::likes::scripts

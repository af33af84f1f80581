#pragma once

// The Lua scripts of this folder; each file says what it takes and gives.

#include "hearth/drivers/redis/client.h"

namespace hearth::views::scripts {

const redis::Script& view();
const redis::Script& install();
const redis::Script& marked();
const redis::Script& settle();

}  // namespace hearth::views::scripts

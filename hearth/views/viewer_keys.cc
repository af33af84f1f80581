#include "hearth/views/viewer_keys.h"

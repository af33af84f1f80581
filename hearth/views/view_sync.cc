#include "hearth/views/view_sync.h"

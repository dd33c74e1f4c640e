// libfuse's low-level API, in the one version this program speaks.
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>

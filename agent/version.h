/* The version that the segment's header tells; configure's, or "unknown" in a build without it. */
#pragma once
#ifdef HAVE_CONFIG_H
#include "config.h"
#define SPPROF_VERSION PACKAGE_VERSION
#else
#define SPPROF_VERSION "unknown"
#endif

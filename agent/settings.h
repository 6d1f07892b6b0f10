/*
 * What the environment asks for (spprof(7)), read once at load with secure_getenv. Values that make
 * no sense are ignored: the agent has no way to complain that would not disturb its host.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_DEFAULT_INTERVAL (UINT64_C(512) << 10)
#define SETTINGS_DEFAULT_CEILING  UINT64_C(2000)
#define SETTINGS_DEFAULT_MEMORY	  (UINT64_C(32) << 20)
#define SETTINGS_DEFAULT_AUDIT	  UINT64_C(1000)

struct settings {
	bool disabled;	  /* SPPROF_DISABLE */
	bool no_children; /* SPPROF_CHILDREN=0: forked ones are not sampled */
	bool no_python;	  /* SPPROF_PYTHON=0: native frames alone */
	bool no_objects;  /* SPPROF_PYTHON_OBJECTS=0: not those of an interpreter's own allocator */
	bool has_seed;	  /* SPPROF_SEED given */
	uint64_t interval_bytes; /* SPPROF_RATE */
	uint64_t ceiling;	 /* SPPROF_CEILING */
	uint64_t memory_bytes;	 /* SPPROF_MEMORY */
	uint64_t audit_every;	 /* SPPROF_AUDIT: so many samples; 0: none is audited */
	uint64_t seed;
	const char *socket_dir; /* SPPROF_SOCKET, NULL if unset; points into the environment */
};

void settings_read(struct settings *out);
/* "512K" → bytes; K, M, G are powers of 1024. False if it is not a size. */
bool settings_parse_size(const char *text, uint64_t *out);

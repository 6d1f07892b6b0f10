/*
 * The segment: one sealed memfd per worker process, through which its agent tells the daemon what was
 * sampled. The agent makes it at load and writes it; the daemon maps the first WIRE_MAPPED_SIZE bytes
 * and fetches everything else by pread.
 *
 * Version law. `major` changes when an old reader would misread; the daemon refuses any other major.
 * `minor` grows when something is added that an old reader may ignore: a counter after the last one, a
 * record type (unknown types are skipped by their size), a word in space that was zero. Nothing is ever
 * removed or given another meaning within a major. All integers are little-endian and naturally aligned;
 * there are no pointers that a reader follows in its own memory.
 *
 * Layout. The geometry (ring_count, ring_size) determines every offset, so no offset is stored and none
 * has to be believed:
 *
 *   0                      struct wire_header            one page
 *   WIRE_RINGS_OFFSET      struct wire_ring[WIRE_MAX_RINGS]   control blocks, two pages
 *   WIRE_MAPS_OFFSET       text of /proc/self/maps at load, header.maps_size bytes
 *   WIRE_DATA_OFFSET       ring_count x ring_size bytes of ring data
 *   behind them            WIRE_DEFINITIONS_SIZE bytes of definitions (definitions.h)
 *
 * Synchronisation of the header (ring control blocks: ring.h)
 *
 *   field              writer              reader             order
 *   geometry, identity agent, before the descriptor leaves it  daemon, once into locals   none needed
 *   counters           agent, any thread   daemon             relaxed: each is a statistic of its own
 *   loss_count         agent, any thread   daemon             [LOSS-1] release/acquire: what was told before a loss
 *                      that a daemon counts is in the heads that it reads afterwards
 *   live_count, digest agent, any thread   daemon             relaxed: compared only when rings are empty
 *   map_levels         agent, before a slot above is used     daemon   relaxed: a level seen late is seen next time
 *   python, python_version   agent, any thread   daemon       relaxed: for a person
 *   dirty              both                both               [DIRTY-1]
 *   control.resync     daemon, at the end of a round          agent    [SYNC-1] release/acquire: what the daemon
 *                      had drained by then was announced before the agent's walk begins
 *   control.flags, interval_bytes     daemon    agent         relaxed: each stands for itself
 */
#pragma once
#include <stdint.h>
#include <stddef.h>
#include "spprof/wire/definitions.h"
#ifdef __cplusplus
#error "the wire contract is C"
#endif

#define WIRE_MAGIC         UINT64_C(0x314745534650505a) /* first bytes of every segment */
#define WIRE_MAJOR         3u
#define WIRE_MINOR         1u
#define WIRE_MEMFD_NAME    "spprof-segment" /* /proc/PID/fd/N reads "/memfd:spprof-segment (deleted)" */
#define WIRE_MAX_RINGS     32u
#define WIRE_MIN_RING_SIZE (16u << 10)
#define WIRE_MAX_RING_SIZE (1u << 20)
#define WIRE_MAPS_MAX      (128u << 10)

/* Why a sample or a record was lost. Each has a count and the bytes it stood for. */
enum wire_loss {
	WIRE_LOSS_BIRTH_RING_FULL, /* a sample whose BIRTH found no room: lives on unannounced */
	WIRE_LOSS_BIRTH_NO_RING,   /* every ring was leased */
	WIRE_LOSS_NO_SCRATCH,      /* no scratch buffer to capture into: sample dropped */
	WIRE_LOSS_MAP_FULL,        /* heap map or its memory cap exhausted: sample dropped */
	WIRE_LOSS_DEATH_UNWRITTEN, /* a sampled block died but no ring could take the DEATH */
	WIRE_LOSS_REENTRY,         /* a threshold was crossed inside a hook that was already sampling */
	WIRE_LOSS_KINDS
};

/* Agent-wide statistics: monotonic unless said otherwise. */
struct wire_counters {
	_Atomic uint64_t samples;           /* allocations sampled and kept */
	_Atomic uint64_t sampled_deaths;    /* sampled blocks freed */
	_Atomic uint64_t unannounced_dead;  /* of these, never announced */
	_Atomic uint64_t missed_frees;      /* stale entries found under a new block's address */
	_Atomic uint64_t filter_positives;  /* frees that passed the whole filter */
	_Atomic uint64_t filter_false;      /* of these, not in the map */
	_Atomic uint64_t map_collisions;    /* inserts that did not get the first slot of their window */
	_Atomic uint64_t rule_misses;       /* call sites resolved from CFI */
	_Atomic uint64_t services;          /* slow entries that sampled nothing */
	_Atomic uint64_t interval_bytes;    /* gauge: T now in force */
	_Atomic uint64_t map_slots;         /* gauge: slots of the heap map, all levels */
	_Atomic uint64_t filter_cells_used; /* gauge: cells of the filter's first level that are not zero */
	_Atomic uint64_t loss_count[WIRE_LOSS_KINDS + 2];
	_Atomic uint64_t loss_bytes[WIRE_LOSS_KINDS + 2]; /* estimated bytes: sum of s/p */
	_Atomic uint64_t filter_saturated; /* cells that were full once and stay set for good */
	_Atomic uint64_t stacks;           /* gauge: distinct stacks kept for live samples */
	_Atomic uint64_t stack_blocks;     /* gauge: blocks that these take */
	_Atomic uint64_t stacks_not_kept;  /* samples whose stack found no room in the store */
	_Atomic uint64_t resync_slices;    /* turns of telling the map again */
	_Atomic uint64_t resync_slots;     /* slots looked at in these, at most WIRE_SLICE_SLOTS each */
	_Atomic uint64_t resync_lives;     /* LIVE records written in these */
	_Atomic uint64_t resync_refused;   /* turns that ended for want of room in the rings */
	_Atomic uint64_t audits;         /* samples told with a copy of their stack (WIRE_AUDIT) */
	_Atomic uint64_t audits_dropped; /* of those that were due, without: the rings had little room */
	_Atomic uint64_t audits_foreign; /* the same, for they ran on a stack whose end is not known */
	_Atomic uint64_t python_samples;  /* samples with frames of an interpreter */
	_Atomic uint64_t python_skipped;  /* samples of a thread that has some, but not in a state to be looked at */
	_Atomic uint64_t python_unpaired; /* samples with frames whose evaluator the walk did not come to */
	_Atomic uint64_t codes;           /* gauge: code objects defined */
	_Atomic uint64_t codes_not_kept;  /* frames whose code found no room among the definitions */
	_Atomic uint64_t objects_sampled; /* samples that the interpreter's own allocator served */
};

/* What the daemon asks for. Zero: nothing. The agent believes none of it blindly: an epoch is only
 * compared, an interval is clamped. */
struct wire_control {
	_Atomic uint32_t resync; /* epoch for which the map is to be told again, 1 … WIRE_EPOCH_MAX; 0: none */
	_Atomic uint32_t flags;  /* enum wire_control_flags */
	_Atomic uint64_t interval_bytes; /* T wanted; 0: as the worker was started */
	uint8_t reserved[48];
};

enum wire_control_flags {
	WIRE_CONTROL_STOP = 1u << 0, /* no new samples; frees are tracked on */
};

#define WIRE_EPOCH_MAX   ((1u << 20) - 1) /* after it comes 1 */
#define WIRE_SLICE_SLOTS 64u              /* of the map, told again in one turn at most */

/* A process whose map a forked child has inherited: what its own segment says, zero where there is none. */
struct wire_ancestor {
	uint64_t load_ns;
	uint64_t first_id;
	uint32_t pid_hint;
	uint32_t reserved;
};

#define WIRE_ANCESTORS 4u /* that are told; older ones are forgotten */

struct wire_header {
	/* geometry and identity; immutable once the descriptor has left the agent */
	uint64_t magic;
	uint16_t major;
	uint16_t minor;
	uint32_t header_size; /* sizeof(struct wire_header) */
	uint32_t ring_count;  /* 1 … WIRE_MAX_RINGS */
	uint32_t ring_size;   /* bytes of data per ring, a power of two */
	uint32_t pid_hint;    /* the maker's pid in its own namespace; tells a forked child's inherited copy */
	uint32_t maps_size;   /* bytes of text at WIRE_MAPS_OFFSET */
	uint64_t load_ns;     /* CLOCK_MONOTONIC when the segment was made */
	uint64_t interval_bytes; /* T asked for at load */
	uint64_t map_address; /* of the heap map in the worker; 0: not published */
	uint32_t flags;       /* enum wire_flags */
	uint32_t filter_cells; /* of the filter's first level */
	char agent_version[32]; /* NUL-terminated */
	/* where the map and the stacks lie in the worker's memory (map.h) */
	uint64_t stacks_address;
	uint64_t blocks_address;
	uint32_t stack_count;    /* struct wire_stack at stacks_address */
	uint32_t block_count;    /* struct wire_stack_block at blocks_address */
	uint32_t map_max_levels; /* that memory was reserved for */
	uint32_t generation;     /* the mark of entries announced through this segment; rises with each fork */
	/* Entries of the map with lower ids were inherited: each from the nearest ancestor whose first_id is
	 * not above its id. 0: not told. */
	uint64_t first_id;
	struct wire_ancestor ancestors[WIRE_ANCESTORS]; /* the parent first */
	uint8_t reserved0[24];

	_Alignas(256) struct wire_counters counters;
	uint8_t reserved1[512 - sizeof(struct wire_counters)];

	/* The live set, so that the daemon can measure that its copy equals the map. */
	_Alignas(64) _Atomic uint64_t live_count; /* announced live entries */
	_Atomic uint64_t digest;                  /* sum over them of wire_digest(id), modulo 2^64 */
	_Atomic uint32_t map_levels;              /* in use; only rises */
	_Atomic uint32_t python;                  /* enum wire_python | enum wire_objects << 8 */
	_Atomic uint32_t python_version;          /* PY_VERSION_HEX; 0: none was found */
	uint8_t reserved2[100];

	/* Bit r: ring r has got records since the daemon last took this word. */
	_Alignas(128) _Atomic uint64_t dirty;
	uint8_t reserved3[120];

	_Alignas(1024) struct wire_control control;
	uint8_t reserved4[2048 + 1024 - sizeof(struct wire_control)];
};

/* What is known of an interpreter in the process. */
enum wire_python {
	WIRE_PYTHON_NONE,        /* none was found */
	WIRE_PYTHON_FRAMES,      /* its frames are in the stacks */
	WIRE_PYTHON_OFF,         /* SPPROF_PYTHON=0 */
	WIRE_PYTHON_VERSION,     /* one of no known version, or a pre-release */
	WIRE_PYTHON_LAYOUT,      /* its structures are laid out in another way: a debug build, or not CPython */
	WIRE_PYTHON_KINDS
};

/* Whether what it allocates without malloc is sampled. */
enum wire_objects {
	WIRE_OBJECTS_NONE,    /* no interpreter, or not looked at yet */
	WIRE_OBJECTS_SAMPLED,
	WIRE_OBJECTS_OFF,     /* SPPROF_PYTHON_OBJECTS=0 */
	WIRE_OBJECTS_MALLOC,  /* they come from malloc (PYTHONMALLOC=malloc), which is sampled anyway */
	WIRE_OBJECTS_LOST,    /* somebody has put back an allocator from before ours */
	WIRE_OBJECTS_KINDS
};

enum wire_flags {
	WIRE_FLAG_FROM_START = 1u << 0, /* the agent was there before main() */
	WIRE_FLAG_FORKED = 1u << 1,     /* the maker is a forked child: its map has entries that it inherited */
};

_Static_assert(sizeof(struct wire_ancestor) == 24, "an ancestor takes 24 bytes");
_Static_assert(sizeof(struct wire_counters) <= 512, "counters outgrew their area");
_Static_assert(offsetof(struct wire_header, counters) == 256, "counters begin at 256");
_Static_assert(offsetof(struct wire_header, live_count) == 768, "digest has its own lines");
_Static_assert(offsetof(struct wire_header, dirty) == 896, "the dirty word has its own line");
_Static_assert(offsetof(struct wire_header, control) == 1024, "control block begins at 1024");
_Static_assert(sizeof(struct wire_control) == 64, "control words take one line");
_Static_assert(sizeof(struct wire_header) == 4096, "the header is one page");

#define WIRE_RINGS_OFFSET ((size_t)4096)
#define WIRE_MAPPED_SIZE  (WIRE_RINGS_OFFSET + (size_t)WIRE_MAX_RINGS * 256)
#define WIRE_MAPS_OFFSET  WIRE_MAPPED_SIZE
#define WIRE_DATA_OFFSET  (WIRE_MAPS_OFFSET + (size_t)WIRE_MAPS_MAX)

static inline size_t wire_ring_data_offset(uint32_t ring_size, uint32_t ring)
{
	return WIRE_DATA_OFFSET + (size_t)ring_size * ring;
}

static inline size_t wire_definitions_offset(uint32_t ring_count, uint32_t ring_size)
{
	return wire_ring_data_offset(ring_size, ring_count);
}

static inline size_t wire_segment_size(uint32_t ring_count, uint32_t ring_size)
{
	return wire_definitions_offset(ring_count, ring_size) + WIRE_DEFINITIONS_SIZE;
}

/* splitmix64's finalizer (Steele, Lea, Flood 2014): spreads sequential ids so that sums tell sets apart. */
static inline uint64_t wire_digest(uint64_t id)
{
	id = (id ^ (id >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	id = (id ^ (id >> 27)) * UINT64_C(0x94d049bb133111eb);
	return id ^ (id >> 31);
}

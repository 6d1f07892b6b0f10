/*
 * spprof for programs: control of the heap profiler from inside the process that is profiled. Header-only;
 * nothing to link. The functions refer weakly to the agent (libspprof-agent.so), which is preloaded or not: a
 * program that uses them runs the same without it, and is told so by SPPROF_ERROR_NOT_LOADED.
 *
 * A program need not call any of this to be profiled. Sampling begins when the agent is loaded, unless
 * SPPROF_DISABLE is set.
 *
 * All functions may be called from any thread and from signal handlers, take no lock, do not wait, and leave errno
 * alone. In C++ they do not throw.
 */
#ifndef SPPROF_H
#define SPPROF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum spprof_error {
	SPPROF_OK = 0,
	SPPROF_ERROR_NOT_LOADED = -1, /* no agent in this process, or one of another major version */
	SPPROF_ERROR_INERT = -2,      /* the agent is there but was disabled, or something that it needs could not be had */
	SPPROF_ERROR_SHUT_DOWN = -3,  /* after spprof_shutdown */
	SPPROF_ERROR_INVALID = -4,    /* an argument out of range */
};

enum spprof_state {
	SPPROF_STATE_SAMPLING,
	SPPROF_STATE_STOPPED,   /* by spprof_stop, or by an operator through spprofd */
	SPPROF_STATE_SHUT_DOWN,
	SPPROF_STATE_UNATTACHED, /* a forked child that could make no segment of its own: nothing is sampled */
	SPPROF_STATE_INERT,
};

/* Counters of this process since the agent was loaded, or since the fork that made it. */
struct spprof_stats {
	uint32_t state;            /* enum spprof_state */
	uint32_t reserved;
	uint64_t interval_bytes;   /* mean bytes between sample points, now in force */
	uint64_t samples;          /* allocations sampled and kept */
	uint64_t live_samples;     /* of these and of what was inherited, not freed yet */
	uint64_t freed_samples;
	uint64_t lost_samples;     /* crossed a sample point and could not be kept or told at once */
	uint64_t lost_bytes;       /* estimate of what these stood for */
	uint64_t unique_stacks;    /* distinct call stacks kept for live samples */
	uint64_t map_slots;        /* of the heap map, used or not */
	uint64_t map_collisions;   /* samples that did not get the first slot of their window */
};

/* The agent's side of the functions below. */
__attribute__((__weak__, __visibility__("default"))) int spprof_agent_start(void);
__attribute__((__weak__, __visibility__("default"))) int spprof_agent_stop(void);
__attribute__((__weak__, __visibility__("default"))) int spprof_agent_shutdown(void);
__attribute__((__weak__, __visibility__("default"))) int spprof_agent_set_interval(uint64_t interval_bytes);
__attribute__((__weak__, __visibility__("default"))) int spprof_agent_stats(struct spprof_stats *out, size_t size);
__attribute__((__weak__, __visibility__("default"))) uint64_t spprof_agent_mark(const char *name);

/* The address of a weak function, NULL without an agent. Through the global offset table: in programs that are not
 * position-independent the linker would settle a plain reference to 0, agent or not. */
#if defined(__x86_64__) && !defined(__ILP32__)
#define SPPROF_ADDRESS(variable, name) \
	__asm__(".weak " #name "\n\tmovq " #name "@GOTPCREL(%%rip), %0" : "=r"(variable))
#elif defined(__aarch64__) && !defined(__ILP32__)
#define SPPROF_ADDRESS(variable, name) \
	__asm__(".weak " #name "\n\tadrp %0, :got:" #name "\n\tldr %0, [%0, :got_lo12:" #name "]" : "=r"(variable))
#else
#define SPPROF_ADDRESS(variable, name) ((variable) = (name))
#endif

/* Samples again after spprof_stop: this thread at once, others within 4 MiB of allocations. SPPROF_OK also when it was not
 * stopped. An operator's stop stays in force. */
static inline int spprof_start(void)
{
	int (*start)(void);

	SPPROF_ADDRESS(start, spprof_agent_start);
	return start ? start() : SPPROF_ERROR_NOT_LOADED;
}

/* No new samples. Frees of what was sampled are told on, so nothing looks leaked that is not. */
static inline int spprof_stop(void)
{
	int (*stop)(void);

	SPPROF_ADDRESS(stop, spprof_agent_stop);
	return stop ? stop() : SPPROF_ERROR_NOT_LOADED;
}

/* Like spprof_stop, for good: start fails from now on, in this process and in its children. */
static inline int spprof_shutdown(void)
{
	int (*shut_down)(void);

	SPPROF_ADDRESS(shut_down, spprof_agent_shutdown);
	return shut_down ? shut_down() : SPPROF_ERROR_NOT_LOADED;
}

/* Mean bytes between sample points, 1 to 2^40; 0: as the program was started. The calling thread
 * takes it over at once, others within 4 MiB of allocations; what was sampled before keeps its weight. */
static inline int spprof_set_interval(uint64_t interval_bytes)
{
	int (*set_interval)(uint64_t);

	SPPROF_ADDRESS(set_interval, spprof_agent_set_interval);
	return set_interval ? set_interval(interval_bytes) : SPPROF_ERROR_NOT_LOADED;
}

/* Fills *out; zeroes it on errors. Each number is right at some moment of the call, not all at the same. */
static inline int spprof_stats(struct spprof_stats *out)
{
	static const struct spprof_stats none = {SPPROF_STATE_INERT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	int (*stats)(struct spprof_stats *, size_t);

	*out = none;
	SPPROF_ADDRESS(stats, spprof_agent_stats);
	return stats ? stats(out, sizeof *out) : SPPROF_ERROR_NOT_LOADED;
}

/* A border in the row of samples: those before it have lower ids than the result, later ones of this thread and of those
 * that wait for it this or higher ones. A name (1 to 39 bytes; NULL: none) is kept for `spprofctl snapshot --since NAME`:
 * the last 127 marks, of the same name the last. 0: no agent that could tell, or a name that is too long or empty. */
static inline uint64_t spprof_mark(const char *name)
{
	uint64_t (*mark)(const char *);

	SPPROF_ADDRESS(mark, spprof_agent_mark);
	return mark ? mark(name) : 0;
}

#ifdef __cplusplus
}
#endif

#endif

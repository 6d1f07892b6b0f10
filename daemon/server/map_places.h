/*
 * The places in which idle workers' memory is read: so many helpers at the same time, each for one
 * reading, and who waits for one. Owned by the daemon, used by readings (map_reading.h). One thread
 * (the loop's).
 *
 * In turn, but a uid that holds fewer comes first, and the workers of one hold at most half of the places
 * while anybody else waits: what they hold beyond that they lose after a second. Held too long altogether, or without a sign of life,
 * a place is lost as well. A helper that was killed and that the kernel does not let go (its file
 * system doesn't answer) keeps its place; of one uid's such helpers, half of the places at most are
 * lost to others, and while one uid has any, it gets no more than half.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#define MAP_PLACES 4u

struct map_place;
struct map_places;
struct uv_loop_s;

struct map_places_options {
	const char *program; /* path of spprof-map-reader; copied */
	uint32_t stall_ms;   /* no packet for so long: the helper is killed; 0: 5,000 */
};

/* Called from the loop, or from inside a call of another claim's. */
struct map_claim_handlers {
	void (*granted)(void *data);
	/* As helper_process's. */
	int (*packet)(void *data, const uint8_t *bytes, size_t size);
	/* The place is gone. -EPIPE: the helper has ended or made no sense; -ETIMEDOUT: it took too
	 * long; -EAGAIN: somebody else had more right to it. */
	void (*lost)(void *data, int error);
};

/* Part of a reading. */
struct map_claim {
	struct map_places *places; /* borrows */
	uid_t uid;		   /* of the worker */
	const struct map_claim_handlers *handlers;
	void *data;
	/* map_places' own */
	bool waits;
	struct map_place *place; /* NULL: none is held */
	TAILQ_ENTRY(map_claim) next;
};

int map_places_new(
	struct map_places **out, struct uv_loop_s *loop, const struct map_places_options *options);
/* Nothing is granted any more; claims may still be left. The loop must run until all is closed, or a
 * second. */
struct map_places *map_places_free(struct map_places *places);

/* Queues up. True: a place is held already, and `granted` is not called. */
bool map_places_wait(struct map_claim *claim);
/* Waiting, holding or neither: neither, afterwards. The helper is killed. */
void map_places_leave(struct map_claim *claim);
/* Starts the helper in the place that is held: 0 or negative errno. */
int map_places_start(struct map_claim *claim);
/* To the helper; as helper_process_send. */
int map_places_send(struct map_claim *claim, const void *bytes, size_t size, int fd);

struct map_places_stats {
	uint32_t in_use, waiting;
	uint32_t lingering; /* helpers that were killed and not let go */
	uint64_t starts;    /* of helpers */
	uint64_t deaths;    /* of these, that ended by themselves or made no sense */
	uint64_t timeouts;  /* of these, that took too long */
	uint64_t yielded;   /* of these, that gave way to others */
	pid_t helper_pid;   /* of the one that was started last and works; 0: none */
};
void map_places_stats(const struct map_places *places, struct map_places_stats *out);

/*
 * Numbers for code under threads: each makes code objects anew at the same addresses, of which many are the same as other
 * threads' at the same time, and looks at the definition of the number that it gets; meanwhile the process forks, and the
 * children look at all that they have taken over. Whatever a number means must be whole and must stay what it was.
 *
 * TAP. SPPROF_STRESS scales the work. Instrumented builds see every access; they do not fork, for ThreadSanitizer takes
 * what the parent's other threads were doing for races of the child.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fork_word.h"
#include "python/codes.h"
#include "segment.h"
#include "support/fake_code.h"
#include "support/random.h"
#include "support/tap_print.h"

enum { THREADS = 4, CODES = 3000, OBJECTS = 8, LOOKUPS = 60000, FORKS = 20 };

static const struct segment_facts facts = {.ring_count = 2, .ring_size = 64u << 10};
static struct segment segment;
static struct layout layout;
static _Atomic uint64_t wrong, unnumbered;
static _Atomic uint32_t number_of[CODES]; /* 0: nobody has asked yet */
static _Atomic int running = THREADS;
static long lookups;

static void name_code(unsigned n, char name[16], char file[32])
{
	snprintf(name, 16, "f%05u", n);
	snprintf(file, 32, "/srv/%u/module.py", n % 7);
}

/* Code `n` follows from n alone. */
static void make_code(struct fake_code *code, unsigned n)
{
	char name[16], file[32];

	name_code(n, name, file);
	fake_code_set(code, name, file, (int32_t)n, n);
}

static bool is_whole(const struct segment *where, uint64_t place)
{
	char name[16], file[32];
	uint32_t size = (uint32_t)place, offset = (uint32_t)(place >> 32);
	const struct wire_code *code = (const void *)(where->definitions + offset);

	if (offset < WIRE_CODES_OFFSET || offset + (uint64_t)size > WIRE_DEFINITIONS_SIZE ||
		code->size != size || code->first_line < 0 || code->first_line >= CODES)
		return false;
	name_code((unsigned)code->first_line, name, file);
	return code->name_bytes == strlen(name) && code->file_bytes == strlen(file) &&
	       memcmp(code->text, name, strlen(name)) == 0 &&
	       memcmp(code->text + strlen(name), file, strlen(file)) == 0 &&
	       code->line_bytes == 16 &&
	       code->text[code->name_bytes + code->file_bytes] == (code->first_line & 0x7f);
}

static uint64_t place_in(const struct segment *where, uint32_t number)
{
	_Atomic uint64_t *index = (void *)(where->definitions + WIRE_CODES_INDEX_OFFSET);

	return atomic_load_explicit(&index[number], memory_order_acquire);
}

static bool means(uint32_t number, unsigned n)
{
	uint64_t place = place_in(&segment, number);

	return is_whole(&segment, place) &&
	       ((const struct wire_code *)(const void *)(segment.definitions + (place >> 32)))
			       ->first_line == (int32_t)n;
}

static void look_up(struct fake_code *code, unsigned n)
{
	uint32_t none = 0, number;
	struct codes_last last = {0};

	make_code(code, n);
	number = codes_number(&layout, &segment, &last, (const char *)code);
	if (number == 0) {
		atomic_fetch_add_explicit(&unnumbered, 1, memory_order_relaxed);
		return;
	}
	bool same = atomic_compare_exchange_strong_explicit(&number_of[n], &none, number,
			    memory_order_relaxed, memory_order_relaxed) ||
		    none == number;
	if (!same || !means(number, n))
		atomic_fetch_add_explicit(&wrong, 1, memory_order_relaxed);
}

static void *run(void *seed)
{
	struct random random = {(uintptr_t)seed};
	struct fake_code *objects[OBJECTS];

	for (int i = 0; i < OBJECTS; i++)
		objects[i] = fake_code_new("", "", 0, 0);
	for (long i = 0; i < lookups; i++) {
		/* All threads come to new codes at about the same time. */
		uint64_t reached = 1 + (uint64_t)i * CODES / (uint64_t)lookups;
		unsigned n = (unsigned)(random_below(&random, 2) ? reached - 1
								 : random_below(&random, reached));

		look_up(objects[random_below(&random, OBJECTS)], n);
	}
	atomic_fetch_sub_explicit(&running, 1, memory_order_release);
	return NULL;
}

/* What is wrong with what a child takes over. */
#ifndef __SANITIZE_THREAD__
static int judge_child(void)
{
	struct segment child;
	int bad = 0;

	if (segment_create(&child, &facts) != 0)
		return 255;
	segment_map_definitions(&child);
	codes_inherit(&child, &segment);
	for (uint32_t number = 1; number < WIRE_CODES_MAX; number++) {
		uint64_t place = place_in(&child, number);

		bad += place != 0 && !is_whole(&child, place);
	}
	for (unsigned n = 0; n < CODES; n++) {
		uint32_t number = atomic_load_explicit(&number_of[n], memory_order_relaxed);

		bad += number != 0 && place_in(&child, number) == 0;
	}
	return bad < 255 ? bad : 255;
}

static unsigned fork_children(unsigned *bad)
{
	unsigned forks = 0;

	while (forks < FORKS && atomic_load_explicit(&running, memory_order_acquire) > 0) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(judge_child());
		*bad += waitpid(pid, &status, 0) != pid || status != 0;
		forks++;
	}
	return forks;
}
#endif

int main(void)
{
	pthread_t threads[THREADS];
	unsigned forks = 0, bad = 0;
	const char *scale = getenv("SPPROF_STRESS");

	lookups = LOOKUPS * (scale ? atol(scale) : 1);
	layout = fake_layout();
	if (fork_word_make() != 0 || segment_create(&segment, &facts) != 0 || !codes_init())
		abort();
	segment_map_definitions(&segment);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, (void *)(i + 1));
#ifndef __SANITIZE_THREAD__
	forks = fork_children(&bad);
#endif
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	uint64_t defined =
		atomic_load_explicit(&segment.header->counters.codes, memory_order_relaxed);
	printf("# %ld lookups in each of %d threads, %llu definitions of %d codes, %u forks\n",
		lookups, THREADS, (unsigned long long)defined, CODES, forks);
	tap_print(atomic_load(&wrong) == 0, "each number means its code, and the same as before");
	tap_print(atomic_load(&unnumbered) == 0 && defined >= CODES && defined < 2 * CODES,
		"each code is defined, and hardly any twice");
	tap_print(bad == 0, "children have taken over whole definitions of all that had a number");
	return tap_print_end();
}

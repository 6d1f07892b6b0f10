/*
 * main() for fuzz targets without a fuzzer: replays inputs, and mutations of them, through
 * LLVMFuzzerTestOneInput. Prints TAP, one result per input; a target reports by abort() or a
 * sanitizer.
 *
 *     fuzz_x [-m MUTATIONS] [FILE | FOLDER]...
 *
 * Without paths: $SRCDIR/tests/fuzz/corpus/x, after the program's name. Mutations (per input, 200
 * unless told) follow from the input's name, so that a failure comes again; the input that is
 * running is kept in fuzz_x.last for `fuzz_x -m 0 fuzz_x.last`. With clang's -fsanitize=fuzzer the
 * target links without this.
 */
#include "config.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "support/random.h"

#define MAX_INPUT_SIZE ((size_t)1 << 20)
#define GROWTH	       64 /* bytes by which a mutation may be longer */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *program;
static unsigned long mutations = 200;
static unsigned results;
static int last_fd = -1;

/* A block of exactly this size, so that a sanitizer sees one byte too much. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	if (last_fd >= 0 && (pwrite(last_fd, data, size, 0) != (ssize_t)size ||
				    ftruncate(last_fd, (off_t)size) < 0))
		perror("keeping the input");
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static size_t mutate_once(struct random *random, uint8_t *data, size_t size)
{
	static const uint64_t values[] = {0, 1, 7, 8, 0x7f, 0xff, 0x7fff, 0xffff, UINT32_MAX,
		INT64_MAX, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 62};
	size_t at = size ? random_below(random, size) : 0;
	size_t width = (size_t)1 << random_below(random, 4);

	switch (random_below(random, 6)) {
	case 0: /* flip a bit */
		if (size)
			data[at] ^= (uint8_t)(1u << random_below(random, 8));
		return size;
	case 1: /* an interesting number */
		if (at + width <= size)
			memcpy(data + at, &values[random_below(random, 13)], width);
		return size;
	case 2: /* any byte */
		if (size)
			data[at] = (uint8_t)random_next(random);
		return size;
	case 3: /* cut */
		return at;
	case 4: /* remove */
		if (at + width > size)
			return size;
		memmove(data + at, data + at + width, size - at - width);
		return size - width;
	default: /* repeat */
		if (at + width > size)
			return size;
		memmove(data + at + width, data + at, size - at);
		return size + width;
	}
}

static uint64_t seed_of(const char *name)
{
	uint64_t seed = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	while (*name)
		seed = (seed ^ (uint8_t)*name++) * UINT64_C(0x100000001b3);
	return seed;
}

static void replay(const char *name, const uint8_t *data, size_t size)
{
	struct random random = {.state = seed_of(name)};
	uint8_t *mutated = malloc(size + GROWTH);

	run(data, size);
	for (unsigned long i = 0; i < mutations; i++) {
		size_t mutated_size = size;

		memcpy(mutated, data, size);
		for (uint64_t n = 1 + random_below(&random, GROWTH / 8); n; n--)
			mutated_size = mutate_once(&random, mutated, mutated_size);
		run(mutated, mutated_size);
	}
	free(mutated);
	printf("ok %u - %s\n", ++results, name);
	fflush(stdout);
}

static void replay_file(const char *path)
{
	const char *slash = strrchr(path, '/');
	uint8_t *data = malloc(MAX_INPUT_SIZE);
	FILE *file = fopen(path, "re");

	if (!file) {
		printf("not ok %u - %s: %s\n", ++results, path, strerror(errno));
		exit(EXIT_FAILURE);
	}
	size_t size = fread(data, 1, MAX_INPUT_SIZE, file);
	fclose(file);
	replay(slash ? slash + 1 : path, data, size);
	free(data);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void replay_path(const char *path)
{
	struct dirent **entries;
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	int count = scandir(path, &entries, visible, alphasort);
	for (int i = 0; i < count; i++) {
		char *file;

		if (asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
			abort();
		replay_file(file);
		free(file);
		free(entries[i]);
	}
	free(entries);
}

static void replay_own_corpus(void)
{
	const char *source = getenv("SRCDIR");
	const char *name = strncmp(program, "fuzz_", 5) == 0 ? program + 5 : program;
	char *path;

	if (asprintf(&path, "%s/tests/fuzz/corpus/%s", source ? source : ".", name) < 0)
		abort();
	replay_path(path);
	free(path);
}

static void keep_last_input(void)
{
	char *name;

	if (asprintf(&name, "%s.last", program) < 0)
		abort();
	last_fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	free(name);
}

static void forget_last_input(void)
{
	char *name;

	if (last_fd < 0 || asprintf(&name, "%s.last", program) < 0)
		return;
	unlink(name);
	free(name);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	int option;

	program = slash ? slash + 1 : argv[0];
	if (strncmp(program, "lt-", 3) == 0) /* libtool's wrapper */
		program += 3;
	while ((option = getopt(argc, argv, "m:")) == 'm')
		mutations = strtoul(optarg, NULL, 10);
	if (option != -1)
		return EXIT_FAILURE;
	if (mutations)
		keep_last_input();
	if (optind == argc)
		replay_own_corpus();
	for (int i = optind; i < argc; i++)
		replay_path(argv[i]);
	printf("1..%u\n", results);
	forget_last_input();
	return results ? EXIT_SUCCESS : EXIT_FAILURE;
}

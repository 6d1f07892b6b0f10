/*
 * How long names take, and what the helper's memory is: for each FILE, offsets spread evenly over
 * its code are resolved by a fresh helper (cold: starting it included), then as many others by the
 * same one (warm).
 *
 *     bench_symbolizer PROGRAM FILE...     PROGRAM: path of spprof-symbolizer
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>
#include "server/symbol_client.h"

#define COUNT 1000

static uv_loop_t loop;

static double now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool find_code(int fd, uint64_t *start, uint64_t *size)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		return false;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		off_t at = (off_t)(header.e_phoff + i * sizeof(segment));
		if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment))
			return false;
		if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X)) {
			*start = segment.p_offset;
			*size = segment.p_filesz;
			return *size > 0;
		}
	}
	return false;
}

static void on_done(void *data)
{
	*(bool *)data = true;
	uv_stop(&loop);
}

static double resolve(struct symbol_client *client, const struct symbol_query *queries)
{
	bool done = false;
	double start = now_ms();
	symbol_client_resolve(client, queries, COUNT, 600000, on_done, &done);
	while (!done)
		uv_run(&loop, UV_RUN_DEFAULT);
	return now_ms() - start;
}

static void count_names(struct symbol_client *client, const struct symbol_query *queries)
{
	unsigned functions = 0, lines = 0, inlined = 0;
	for (int i = 0; i < COUNT; i++) {
		struct symbol_lines found;
		if (symbol_client_lookup(client, queries[i].file, queries[i].offset, &found) != 1)
			continue;
		functions += found.line_count && found.lines[found.line_count - 1].function[0];
		lines += found.line_count && found.lines[0].line;
		inlined += found.line_count > 1;
	}
	printf("%5u functions %5u lines %5u inlined", functions, lines, inlined);
}

static long peak_kib(pid_t pid)
{
	char path[64], line[256];
	long kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "VmHWM: %ld", &kib);
	if (status)
		fclose(status);
	return kib;
}

static int measure(const char *program, const char *path)
{
	static struct symbol_query queries[2][COUNT];
	struct symbol_client *client;
	struct symbol_client_stats stats;
	struct stat st;
	uint64_t start, size;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !find_code(fd, &start, &size) ||
		symbol_client_new(&client, &loop, program, NULL) < 0) {
		fprintf(stderr, "%s: cannot be measured\n", path);
		return EXIT_FAILURE;
	}
	struct symbol_file identity = {.device = st.st_dev, .inode = st.st_ino};
	uint32_t file = symbol_client_file(client, &identity, fd);
	for (uint64_t i = 0; i < 2 * COUNT; i++)
		queries[i % 2][i / 2] = (struct symbol_query){file, start + size * i / (2 * COUNT)};
	double cold = resolve(client, queries[0]), warm = resolve(client, queries[1]);
	symbol_client_stats(client, &stats);
	count_names(client, queries[0]);
	printf("  cold %7.1f ms  warm %7.1f ms  helper's peak %7ld KiB  kept %4zu KiB  %s\n", cold,
		warm, peak_kib(stats.helper_pid), stats.cache_bytes >> 10, path);
	symbol_client_free(client);
	uv_run(&loop, UV_RUN_DEFAULT);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int result = argc > 2 ? EXIT_SUCCESS : EXIT_FAILURE;
	uv_loop_init(&loop);
	for (int i = 2; i < argc; i++)
		result |= measure(argv[1], argv[i]);
	return result;
}

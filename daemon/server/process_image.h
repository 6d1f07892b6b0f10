/*
 * Which program a process is running: changes with every exec, which neither the pid nor a pidfd
 * tells. Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_texts;

struct process_image {
	uint64_t start_ticks; /* field 22 of /proc/PID/stat: since boot, same for every image */
	uint64_t stack_start; /* field 28: 0 where the kernel does not tell us */
	dev_t exe_device;
	ino_t exe_inode; /* 0 of a zombie */
};

/* The files it is made of: bits of enum proc_file. */
extern const uint32_t process_image_files;
/* 0 or negative errno. */
int process_image_of(const struct process_texts *texts, struct process_image *out);
/* What is 0 is unknown and tells nothing apart. */
bool process_image_same(const struct process_image *a, const struct process_image *b);
/* The same for certain: what is unknown is no. */
bool process_image_identical(const struct process_image *a, const struct process_image *b);
/* The fields of /proc/PID/stat: 0 or -EBADMSG. */
int process_image_parse(const char *text, struct process_image *out);

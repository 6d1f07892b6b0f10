/*
 * Opens the files behind modules on a pool thread and hands them to the symbol client. A file
 * system of a worker's own may never answer: such opens are abandoned, not waited for, and few at a
 * time may hang for one user. Called from the loop's thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct module_files;
struct module_info;
struct symbol_client;
struct symbol_file;
struct uv_loop_s;

int module_files_new(
	struct module_files **out, struct uv_loop_s *loop, struct symbol_client *client);
/* Work under way goes on and is thrown away; the loop must run until it is done. */
struct module_files *module_files_free(struct module_files *files);

/* Opens `count` files of the process behind `proc_fd` (-1: gone; duplicated here), when its user's
 * turn comes. The infos are copied. `done` is called once, never from inside, with the keys (0: no
 * file) and the identities of those that have one, borrowed both; not called once cancelled.
 * Returns a handle > 0. */
uint64_t module_files_open(struct module_files *files, uid_t uid, int proc_fd,
	const struct module_info *infos, uint32_t count,
	void (*done)(const uint32_t *keys, const struct symbol_file *identities, void *data),
	void *data);
/* What is being opened already is registered all the same, but `done` is not called. */
void module_files_cancel(struct module_files *files, uint64_t handle);

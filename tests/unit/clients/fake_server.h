/*
 * A spprofd that says what a test wants: it listens on DIR/api.sock and hands every request to a
 * function. In a thread of its own for tests, or on the caller's for the stub program that `run`
 * starts.
 */
#pragma once
#include <stddef.h>

#include "spprof/v1/api.pb-c.h"

/* Answers on `fd`; a result other than 0 closes the connection. */
typedef int fake_server_answer(int fd, const Spprof__V1__Request *request, void *data);

struct fake_server;

/* Makes DIR/api.sock; ends the test program where that fails. */
struct fake_server *fake_server_new(const char *dir, fake_server_answer *answer, void *data);
/* Serves one connection after the other until the process ends. */
void fake_server_run(struct fake_server *server);
/* The same in a thread, until the test's process ends. */
void fake_server_start(struct fake_server *server);

/* One framed Response. */
int fake_server_send(int fd, const Spprof__V1__Response *response);
int fake_server_send_bytes(int fd, const void *bytes, size_t size);
int fake_server_send_error(int fd, Spprof__V1__Error__Code code, const char *message);
/* `text` as a snapshot in `pieces` Responses. */
int fake_server_send_snapshot(int fd, const char *text, unsigned pieces);
int fake_server_send_ping(int fd);

/* A fresh directory for the test, made with mkdtemp(); never freed. */
char *fake_server_make_dir(void);

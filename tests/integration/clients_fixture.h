/* A real spprofd, a worker, and frames sent and answered by hand. */
#pragma once
#include <fcntl.h>
#include "support/daemon_fixture.h"
#include "support/tap_main.h"

#define ATTACHED SPPROF__V1__PROCESS__STATE__ATTACHED
#define EXITED	 SPPROF__V1__PROCESS__STATE__EXITED
#define TEXT	 SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__TEXT
#define JSON	 SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__JSON

static struct fixture_daemon spprofd;
static struct fixture_worker worker;

static inline void setup(void)
{
	fixture_start(&spprofd, NULL);
	fixture_worker_start(&worker, &spprofd, NULL);
	fixture_worker_tell(&worker, "births 1 50 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
}

static inline void teardown(void)
{
	fixture_worker_end(&worker);
	fixture_clean(&spprofd);
}

static inline void assert_serving(void)
{
	Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
	ck_assert_msg(
		stats->error == NULL, "%s", stats->error != NULL ? stats->error->message : "");
	ck_assert_uint_ge(stats->stats->live_bytes->samples, 50);
	fixture_free(stats);
}

static inline void send_ping(int fd)
{
	Spprof__V1__PingRequest ping = SPPROF__V1__PING_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	request.kind_case = SPPROF__V1__REQUEST__KIND_PING;
	request.ping = &ping;
	fixture_send_request(fd, &request);
}

static inline void assert_ping(int fd)
{
	Spprof__V1__Response *response = fixture_receive(fd);
	ck_assert_ptr_nonnull(response);
	ck_assert_int_eq(response->kind_case, SPPROF__V1__RESPONSE__KIND_PING);
	ck_assert_int_eq(response->ping->pid, spprofd.pid);
	ck_assert_str_eq(response->ping->version, PACKAGE_VERSION);
	fixture_free(response);
}

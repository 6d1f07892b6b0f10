/* Closing in the background: nothing is left open that could be closed. */
#include "config.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "server/background_close.h"
#include "support/lingering_socket.h"
#include "support/tap_main.h"

#define BURST 500

static void await_closed(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		while (fcntl(fds[i], F_GETFD) >= 0)
			poll(NULL, 0, 1);
}

static void open_burst(int *fds)
{
	for (unsigned i = 0; i < BURST; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(fds[i], 0);
	}
}

START_TEST(a_burst_is_closed_as_a_whole)
{
	int fds[BURST];
	open_burst(fds);
	for (unsigned i = 0; i < BURST; i++)
		ck_assert_int_eq(background_close(fds[i]), 0);
	await_closed(fds, BURST);
}
END_TEST

START_TEST(files_that_hang_hold_up_no_others)
{
	int peers[8], fds[BURST];
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(background_close(lingering_socket(&peers[i])), 0);
	open_burst(fds);
	for (unsigned i = 0; i < BURST; i++)
		ck_assert_int_eq(background_close(fds[i]), 0);
	await_closed(fds, BURST);
	for (unsigned i = 0; i < 8; i++)
		close(peers[i]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("background_close");
	TCase *t = tcase_create("background_close");
	tcase_add_test(t, a_burst_is_closed_as_a_whole);
	tcase_add_test(t, files_that_hang_hold_up_no_others);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)

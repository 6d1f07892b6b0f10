/*
 * A daemon that was searched for, not named, is spoken to only if it runs as root or as ourselves:
 * anyone may make /tmp/spprofd-UID.
 */
#include "config.h"
#include "ctl/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/scope.h"
#include "common/socket_dir.h"
#include "ctl/message.h"

#define PING_MS 5000

int link_try_dir(struct link *link, const char *dir)
{
	*link = (struct link){0};
	int result = api_client_new(&link->client, dir);
	if (result == 0)
		link->dir = scope_strdup(dir);
	return result;
}

static int try_searched_dir(struct link *link, const char *dir)
{
	int result = link_try_dir(link, dir);
	if (result < 0)
		return result;
	uid_t peer = api_client_peer_uid(link->client);
	if (peer == 0 || peer == geteuid())
		return 0;
	link_close(link);
	return -EPERM;
}

static bool nobody_there(int result)
{
	return result == -ENOENT || result == -ENOTDIR || result == -ECONNREFUSED;
}

static int try_list(struct link *link, const struct socket_dir_list *list)
{
	int telling = -ENOENT;
	for (size_t i = 0; i < list->count; i++) {
		int result = list->named ? link_try_dir(link, list->paths[i])
					 : try_searched_dir(link, list->paths[i]);
		if (result == 0)
			return 0;
		if (nobody_there(telling))
			telling = result;
	}
	return telling;
}

int link_try(struct link *link, const struct ctl *ctl)
{
	_cleanup_(socket_dir_list_deinit) struct socket_dir_list list;
	socket_dir_list_init(&list, ctl->socket_option);
	return try_list(link, &list);
}

static int report_connect(const struct socket_dir_list *list, int result)
{
	const char *where = list->named ? list->paths[0] : "the usual places";
	if (nobody_there(result)) {
		message_print("no spprofd answers in %s: start one with `spprofd`, or a program "
			      "under its own with "
			      "`spprofctl run -- CMD`",
			where);
		return CTL_NO_DAEMON;
	}
	if (result == -EACCES || result == -EPERM) {
		message_print("the spprofd in %s is not for you: ask its owner, or name your own "
			      "with --socket DIR",
			where);
		return CTL_NOT_PERMITTED;
	}
	if (result == -ENAMETOOLONG) {
		message_print(
			"'%s' is too long for a socket's directory: choose a shorter one", where);
		return CTL_USAGE;
	}
	message_print("cannot speak to the spprofd in %s: %s", where, strerror(-result));
	return CTL_FAILED;
}

int link_open(struct link *link, const struct ctl *ctl)
{
	_cleanup_(socket_dir_list_deinit) struct socket_dir_list list;
	socket_dir_list_init(&list, ctl->socket_option);
	int result = try_list(link, &list);
	return result < 0 ? report_connect(&list, result) : CTL_OK;
}

static int take_ping(const Spprof__V1__Response *response, void *data)
{
	char **version = data;
	if (version) {
		free(*version);
		*version = scope_strdup(response->ping->version);
	}
	return 0;
}

int link_ping(struct link *link, char **version)
{
	Spprof__V1__PingRequest ping = SPPROF__V1__PING_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	request.kind_case = SPPROF__V1__REQUEST__KIND_PING;
	request.ping = &ping;
	if (version)
		*version = NULL;
	return api_client_call(link->client, &request, PING_MS, take_ping, version);
}

void link_close(struct link *link)
{
	api_client_free(link->client);
	free(link->dir);
	*link = (struct link){0};
}

char *link_invocation(const struct ctl *ctl)
{
	if (!ctl->socket_option)
		return scope_strdup(ctl->program);
	return scope_printf("%s --socket %s", ctl->program, ctl->socket_option);
}

static int report_refusal(const struct link *link, int code, const char *what)
{
	const char *words = api_client_error(link->client);
	if (*words)
		message_print("%s", words);
	else
		message_print("spprofd refused %s without a reason", what);
	switch (code) {
	case SPPROF__V1__ERROR__CODE__INVALID_REQUEST:
		return CTL_USAGE;
	case SPPROF__V1__ERROR__CODE__NO_SUCH_PROCESS:
	case SPPROF__V1__ERROR__CODE__NOT_ATTACHED:
		return CTL_NO_PROCESS;
	case SPPROF__V1__ERROR__CODE__PERMISSION_DENIED:
		return CTL_NOT_PERMITTED;
	default:
		return CTL_FAILED;
	}
}

int link_report(const struct link *link, int result, const char *what)
{
	if (result == 0)
		return CTL_OK;
	if (result > 0)
		return report_refusal(link, result, what);
	if (result == -ETIMEDOUT)
		message_print(
			"spprofd in %s fell silent over %s: is it stopped or overloaded? try again",
			link->dir, what);
	else if (result == -ECONNRESET)
		message_print("spprofd in %s ended while it answered for %s: see its log",
			link->dir, what);
	else if (result == -EPROTO)
		message_print("what spprofd in %s said about %s makes no sense: are spprofctl and "
			      "spprofd of one version?",
			link->dir, what);
	else if (result == -EINTR)
		message_print("interrupted while waiting for %s", what);
	else
		message_print("cannot get %s: %s", what, strerror(-result));
	return CTL_FAILED;
}

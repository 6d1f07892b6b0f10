/*
 * Everything here was chosen by the process itself, but for its uids and pid, which are the kernel's
 * word.
 */
#include "config.h"
#include "server/session_identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "server/module_map.h"
#include "server/process_handle.h"
#include "server/session_claim.h"

static bool is_ours(const struct process_info *info, uint32_t inner_pid)
{
	return info->inner_pid == 0 || (uint32_t)info->inner_pid == inner_pid;
}

/* One that lives and doesn't say under which uids is nobody's but root's. */
static void take_what_is_certain(
	struct session_identity *identity, const struct session_claim *claim)
{
	char comm[64];
	identity->info.uid = claim->uid;
	identity->info.single_uid = !process_handle_alive(&claim->process);
	process_handle_comm(&claim->process, comm, sizeof comm);
	process_info_set_comm(&identity->info, comm);
}

int session_identity_begin(
	struct session_identity *identity, const struct session_claim *claim, uint32_t inner_pid)
{
	int r = process_info_of(claim->texts, &identity->info);
	if (r < 0) {
		take_what_is_certain(identity, claim);
		return claim->attach == SESSION_PULL ? r : 0;
	}
	/* Since it connected, it has taken on another user's rights. */
	if (claim->attach == SESSION_HANDSHAKE && claim->uid != identity->info.uid)
		identity->info.single_uid = false;
	process_image_of(claim->texts, &identity->image);
	return is_ours(&identity->info, inner_pid) ? 0 : -ECHILD;
}

void session_identity_deinit(struct session_identity *identity)
{
	process_info_deinit(&identity->info);
	process_info_deinit(&identity->guessed);
}

void session_identity_forget(struct session_identity *identity, uid_t uid)
{
	pid_t parent = identity->info.parent_pid; /* that stays */
	process_info_deinit(&identity->info);
	identity->info =
		(struct process_info){.uid = uid, .single_uid = true, .parent_pid = parent};
	identity->image = (struct process_image){.start_ticks = identity->image.start_ticks};
}

void session_identity_guess(struct session_identity *identity, const struct module_map *modules)
{
	struct process_info *info = &identity->info;
	if (info->exe == NULL)
		info->exe = alloc_strdup("");
	if (info->command_line == NULL)
		info->command_line = alloc_strdup("");
	if (info->exe[0] == '\0' && module_map_count(modules) > 0) {
		free(info->exe);
		info->exe = alloc_strdup(module_map_get(modules, 0)->path);
		process_info_sanitize(info->exe);
	}
	if (info->comm[0] == '\0') {
		const char *slash = strrchr(info->exe, '/');
		snprintf(info->comm, sizeof info->comm, "%.15s",
			slash != NULL ? slash + 1 : info->exe);
	}
}

bool session_identity_learn(
	struct session_identity *identity, const struct process_texts *texts, uint32_t inner_pid)
{
	struct process_info info;
	struct process_image image;
	if (process_info_of(texts, &info) < 0)
		return false;
	if (!is_ours(&info, inner_pid) || process_image_of(texts, &image) < 0) {
		process_info_deinit(&info);
		return false;
	}
	if (info.uid != identity->info.uid)
		info.single_uid = false;
	identity->guessed = identity->info;
	identity->info = info;
	identity->image = image;
	return true;
}

/* Any bytes as records, of which the parts of audits are collected: each is judged or given up. */
#include "config.h"
#include <stdlib.h>
#include <string.h>
#include "ingest/record_decode.h"
#include "ingest/ring_consumer.h"
#include "server/capture_tally.h"
#include "server/module_map.h"
#include "server/session_audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char maps[] = "400000-500000 r-xp 0 8:1 11 /bin/prog\n";
	uint8_t *bytes = malloc(size ? size : 1); /* aligned, and of exactly this size */
	struct module_map *modules;
	struct capture_tally tally = {0};
	struct record_sink sink = {0};
	size_t at = 0, record_size = 0;
	int kind;

	memcpy(bytes, data, size);
	module_map_new(&modules);
	module_map_update(modules, maps, sizeof(maps) - 1, MODULE_MAP_KERNEL, 0);
	struct session_audit audit = {.modules = modules, .tally = &tally};
	session_audit_listen(&audit, &sink);
	while ((kind = record_decode(bytes + at, size - at, &record_size)) > 0) {
		if (kind == RECORD_DECODE_AUDIT)
			sink.audit((const struct wire_audit *)(bytes + at), sink.audit_data);
		at += record_size;
	}
	/* There is no auditor: what is whole counts as refused. */
	uint64_t ended = audit.stats.unjudged[SESSION_AUDIT_BROKEN] +
			 audit.stats.unjudged[SESSION_AUDIT_BUSY];
	check(audit.stats.pending == 0);
	check(audit.stats.heard == ended + (audit.item != NULL));
	session_audit_deinit(&audit);
	capture_tally_deinit(&tally);
	module_map_free(modules);
	free(bytes);
	return 0;
}

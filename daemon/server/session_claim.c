#include "server/session_claim.h"

#include "ingest/proc_file.h"
#include "ingest/segment_map.h"

const uint32_t session_claim_files =
	PROC_FILE_BIT(PROC_FILE_STATUS) | PROC_FILE_BIT(PROC_FILE_COMM) |
	PROC_FILE_BIT(PROC_FILE_STAT) | PROC_FILE_BIT(PROC_FILE_EXE) |
	PROC_FILE_BIT(PROC_FILE_EXE_ID) | PROC_FILE_BIT(PROC_FILE_MAPS) |
	PROC_FILE_BIT(PROC_FILE_CMDLINE);

void session_claim_deinit(struct session_claim *claim)
{
	process_handle_close(&claim->process);
	claim->segment = segment_map_free(claim->segment);
}

/* What a reply of the helper means for the file it is about. Part of the symbol client. One thread
 * (the loop's). */
#pragma once
#include <stdbool.h>
#include "spprof/v1/symbolizer.pb-c.h"

struct symbol_dialogue;
struct symbol_files_entry;

/* What a search led to: `data` is the dialogue, `fd` a descriptor (taken over) or negative errno.
 */
void symbol_replies_found(void *data, uint32_t file, int fd);
/* `reply` is about `file`, whose request is the oldest in flight. False: it makes no sense. */
bool symbol_replies_take(struct symbol_dialogue *dialogue, struct symbol_files_entry *file,
	const Spprof__V1__SymbolizerReply *reply);

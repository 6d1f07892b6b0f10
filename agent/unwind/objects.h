/*
 * Which loaded object covers a pc. The seam between the walk and the dynamic loader: glibc 2.35 and
 * later answer in _dl_find_object(), which takes no lock and is async-signal-safe. Where it is
 * missing every question is answered by -ENOSYS; a list of modules kept elsewhere would be
 * consulted here.
 */
#pragma once
#include <stdint.h>
#include "unwind/cfi.h"

/* Once, at load. Looks the function up by dlsym, so it may allocate and leave an error for
 * dlerror(). */
void objects_init(void);

/* 0; -ENOENT: no object covers `pc`; -ENOSYS: unknown. Any thread; owns and keeps nothing. */
int objects_find(uintptr_t pc, struct cfi_object *object);

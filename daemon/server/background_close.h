/*
 * Closes a descriptor that a stranger sent. close() asks the file's server to flush it, and waits:
 * a FUSE server of the stranger's own may never answer. Any thread; keeps few threads of its own.
 */
#pragma once

/* Takes `fd` over. When too many wait behind closes that hang, the descriptor stays open, unused:
 * -EAGAIN. */
int background_close(int fd);

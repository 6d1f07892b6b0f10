/*
 * Closes a descriptor that a stranger sent. close() asks the file's server to flush it, and waits:
 * a FUSE server of the stranger's own may never answer. Any thread.
 */
#pragma once

/* Takes `fd` over. At the bound of closes that hang already the descriptor stays open, unused:
 * -EAGAIN. */
int background_close(int fd);

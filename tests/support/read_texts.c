/* By the helper's own means, and put together as the daemon does it. */
#include "config.h"
#include "support/read_texts.h"
#include <fcntl.h>

struct reading {
	struct process_texts *texts;
	enum proc_file file;
};

static int take(const void *bytes, size_t size, int fd, void *data)
{
	struct reading *reading = data;
	int own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return process_texts_append(reading->texts, reading->file, bytes, size, own);
}

struct process_texts *read_texts(const struct process_handle *process, uint32_t files)
{
	struct reading reading = {.texts = process_texts_new()};
	for (unsigned i = 0; i < PROC_FILES; i++) {
		reading.file = (enum proc_file)i;
		if (files & PROC_FILE_BIT(i))
			process_texts_end(reading.texts, reading.file,
				proc_file_read(process->proc_fd, reading.file, take, &reading));
	}
	return reading.texts;
}

/*
 * The start of the initial stack is drawn anew by every exec; the identity of the executable helps
 * where the kernel hides addresses or does not randomise them.
 */
#include "config.h"
#include "server/process_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/process_texts.h"

const uint32_t process_image_files =
	PROC_FILE_BIT(PROC_FILE_STAT) | PROC_FILE_BIT(PROC_FILE_EXE_ID);

int process_image_parse(const char *text, struct process_image *out)
{
	/* The name in parentheses may hold anything, parentheses too: fields are counted from the
	 * last. */
	const char *field = strrchr(text, ')');
	if (field == NULL)
		return -EBADMSG;
	struct process_image image = {0};
	for (unsigned number = 2; number < 28; number++) {
		field = strchr(field + 1, ' ');
		if (field == NULL)
			return -EBADMSG;
		if (number + 1 == 22)
			image.start_ticks = strtoull(field + 1, NULL, 10);
	}
	image.stack_start = strtoull(field + 1, NULL, 10);
	*out = image;
	return 0;
}

int process_image_of(const struct process_texts *texts, struct process_image *out)
{
	size_t size;
	struct process_image image;
	const char *text = process_texts_get(texts, PROC_FILE_STAT, &size);
	int r = text != NULL ? process_image_parse(text, &image)
			     : process_texts_result(texts, PROC_FILE_STAT);
	if (r < 0)
		return r;
	const char *bytes = process_texts_get(texts, PROC_FILE_EXE_ID, &size);
	if (bytes != NULL && size == sizeof(struct proc_file_id)) {
		struct proc_file_id id;
		memcpy(&id, bytes, sizeof id);
		image.exe_device = id.device;
		image.exe_inode = id.inode;
	}
	*out = image;
	return 0;
}

static bool differ(uint64_t a, uint64_t b)
{
	return a != 0 && b != 0 && a != b;
}

bool process_image_same(const struct process_image *a, const struct process_image *b)
{
	return a->start_ticks == b->start_ticks && !differ(a->stack_start, b->stack_start) &&
	       !differ(a->exe_device, b->exe_device) && !differ(a->exe_inode, b->exe_inode);
}

static bool known(const struct process_image *image)
{
	return image->start_ticks != 0 && image->stack_start != 0 && image->exe_inode != 0;
}

bool process_image_identical(const struct process_image *a, const struct process_image *b)
{
	return known(a) && known(b) && process_image_same(a, b);
}

/*
 * The start of the initial stack is drawn anew by every exec; the identity of the executable helps
 * where the kernel hides addresses or does not randomise them.
 */
#include "config.h"
#include "server/process_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "server/process_handle.h"

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

int process_image_read(const struct process_handle *handle, struct process_image *out)
{
	char text[1024];
	ssize_t size = process_handle_read(handle, "stat", text, sizeof text);
	if (size < 0)
		return (int)size;
	struct process_image image;
	int r = process_image_parse(text, &image);
	if (r < 0)
		return r;
	/* Without a wait, whatever file system the program came from. */
	struct statx exe;
	if (statx(handle->proc_fd, "exe", AT_STATX_DONT_SYNC, STATX_INO, &exe) == 0) {
		image.exe_device = makedev(exe.stx_dev_major, exe.stx_dev_minor);
		image.exe_inode = exe.stx_ino;
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

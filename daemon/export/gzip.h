/*
 * A gzip member, written piece by piece into a buffer. zlib's memory is the process's own malloc;
 * if it refuses, gzip_finish says so. Not thread-safe.
 */
#pragma once
#include <stddef.h>
#include <zlib.h>

struct buffer;

struct gzip {
	z_stream stream;
	struct buffer *out; /* borrows */
	int error;	    /* 0 or negative errno; sticky */
};

void gzip_init(struct gzip *gzip, struct buffer *out);
void gzip_write(struct gzip *gzip, const void *bytes, size_t size);
int gzip_finish(struct gzip *gzip); /* 0 or negative errno; frees what gzip_init took */

/* The header holds no name and no time, so equal input gives equal bytes. */
#include "export/gzip.h"
#include <errno.h>
#include "base/buffer.h"

#define GZIP_WINDOW  (15 + 16) /* zlib's largest window, +16 for a gzip header */
#define MEMORY_LEVEL 8
#define PIECE	     16384u

void gzip_init(struct gzip *gzip, struct buffer *out)
{
	*gzip = (struct gzip){.out = out};
	if (deflateInit2(&gzip->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
		    MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		gzip->error = -ENOMEM;
}

static void deflate_all(struct gzip *gzip, int flush)
{
	int status;
	do {
		gzip->stream.next_out = buffer_reserve(gzip->out, PIECE);
		gzip->stream.avail_out = PIECE;
		status = deflate(&gzip->stream, flush);
		gzip->out->size += PIECE - gzip->stream.avail_out;
	} while (status == Z_OK && gzip->stream.avail_out == 0);
	/* Z_BUF_ERROR: there was nothing left to do */
	if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
		gzip->error = -EIO;
}

void gzip_write(struct gzip *gzip, const void *bytes, size_t size)
{
	const uint8_t *next = bytes;
	while (size > 0 && !gzip->error) {
		uInt piece = size < (1u << 30) ? (uInt)size : 1u << 30;
		gzip->stream.next_in = (Bytef *)next;
		gzip->stream.avail_in = piece;
		deflate_all(gzip, Z_NO_FLUSH);
		next += piece;
		size -= piece;
	}
}

int gzip_finish(struct gzip *gzip)
{
	if (!gzip->error) {
		gzip->stream.avail_in = 0;
		deflate_all(gzip, Z_FINISH);
	}
	deflateEnd(&gzip->stream);
	return gzip->error;
}

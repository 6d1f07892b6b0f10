/* Numbers as people read them, in ASCII. Pure; any thread. */
#pragma once
#include <stdint.h>

struct buffer;

/* Binary units, three significant digits: "999 B", "1.50 MiB", "48.2 GiB"; "1013 KiB" stays whole.
 */
void human_bytes(struct buffer *out, double bytes);
/* "480..545 MiB", "0.32..4.39 MiB", "0..1.84 MiB": one unit, that of `high`. */
void human_range(struct buffer *out, double low, double high);
/* Two units at most: "41s", "12m 03s", "3h 12m", "15d 4h". */
void human_duration(struct buffer *out, uint64_t ns);
/* "2026-11-23 09:14:02 UTC" */
void human_time(struct buffer *out, uint64_t unix_ns);
/* "2026-11-23T09:14:02Z" */
void human_time_iso(struct buffer *out, uint64_t unix_ns);

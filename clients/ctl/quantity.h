/* Numbers as people write and read them. Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define QUANTITY_SIZE 32 /* room for any of the texts below */

/* "4096", "512K", "2g": whole numbers with an optional K, M or G (powers of 1024). 0, -EINVAL,
 * -ERANGE. */
int quantity_parse_size(const char *text, uint64_t *bytes);

/* "0 B", "512 KiB", "1.50 MiB": three digits that mean something. */
const char *quantity_bytes(char text[static QUANTITY_SIZE], double bytes);
/* "950", "12.3k", "1.20M". */
const char *quantity_count(char text[static QUANTITY_SIZE], double count);
/* "17.3 ms". */
const char *quantity_duration(char text[static QUANTITY_SIZE], double seconds);
/* "42s", "3m12s", "5h04m", "12d03h". */
const char *quantity_age(char text[static QUANTITY_SIZE], uint64_t ns);

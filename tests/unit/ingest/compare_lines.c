/* dump_lines.py | compare_lines: "CODES UNITS WRONG", and what was wrong first; exit status 1 if anything was. */
#include "config.h"
#include <inttypes.h>
#include "line_samples.h"

int main(void)
{
	struct line_samples samples;
	line_samples_compare(stdin, &samples);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", samples.codes, samples.units,
		samples.wrong, samples.first_wrong);
	return samples.wrong > 0;
}

#include "config.h"
#include "ctl/message.h"

#include <stdarg.h>
#include <stdio.h>

void message_print(const char *format, ...)
{
	char line[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	fprintf(stderr, "spprofctl: %s\n", line);
}

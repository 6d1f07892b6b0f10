/* One line for a person on stderr: "spprofctl: text". What happened, to what, what to do next. */
#pragma once

/* Control characters are made harmless: names of processes and the daemon's words are not ours. */
void message_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a worker says of an interpreter in it, for a person. One thread (the loop's). */
#pragma once

struct session;

#define SESSION_PYTHON_SIZE 256

/* "CPython 3.11.2: frames in stacks; small objects sampled", or why not; "" where there is none. Returns `text`. */
char *session_python_describe(const struct session *session, char text[static SESSION_PYTHON_SIZE]);

/* Names as the compiler made them into names as they were written: C++ (Itanium ABI) and Rust (both
 * its manglings). Pure. */
#pragma once
#include <stddef.h>

/*
 * Writes the readable form of `symbol`, or `symbol` itself if it is not mangled, without a symbol
 * version
 * ("@@GLIBC_2.2.5") and at most `room` bytes including the final NUL; what is longer is cut at a
 * character's boundary. Returns the length. Time and stack are bounded whatever the name.
 */
size_t demangle_name(const char *symbol, char *out, size_t room);

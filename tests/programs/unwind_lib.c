/*
 * Built twice with frames of different sizes but code of equal length: loaded one after the other
 * at one address, the call below returns to the same pc and needs another rule.
 */
#include "unwind_lib.h"

__attribute__((visibility("default"))) int unwind_lib_call(void (*callback)(void))
{
	volatile char frame[UNWIND_LIB_FRAME_BYTES];
	frame[0] = 1;
	callback();
	return frame[0];
}

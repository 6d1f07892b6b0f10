/* The one function of the libraries that tests load and unload: calls back from a frame of its own.
 */
#pragma once

int unwind_lib_call(void (*callback)(void));

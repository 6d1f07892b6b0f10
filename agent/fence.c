/* The word behind the instrumented fence; unused otherwise. */
#include "fence.h"

#ifdef FENCE_AS_RMW
_Atomic unsigned fence_word;
#endif

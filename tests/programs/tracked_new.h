/* operator new and delete for programs in C: form by form. */
#pragma once
#include <stddef.h>

enum { TRACKED_NEW_FORMS = 12 };

#ifdef __cplusplus
extern "C" {
#endif
void *tracked_new_make(int form, size_t size);
void tracked_new_drop(int form, void *block, size_t size);
/* Whether plain, array and aligned new throw bad_alloc for `size`, and the quiet ones return null.
 */
int tracked_new_throws(size_t size);
/* Gives the calling thread an object whose destructor leaves a block of 500 bytes behind. */
void tracked_new_thread_local(void);
extern void *tracked_new_left_by_destructor;
#ifdef __cplusplus
}
#endif

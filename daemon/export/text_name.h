/*
 * Function names as a table shows them. ASCII in and out except where said. Pure; any thread.
 *
 * The skipping rule (text only; files keep whole stacks): frames at the innermost end of a stack
 * are passed over while they belong to the C++ runtime's own way to malloc, so that a row begins
 * with the code that wanted the memory. Passed over are: operator new in all forms; everything in
 * __gnu_cxx; in std, allocator, allocator_traits, polymorphic_allocator and every name that C++
 * reserves to the library (_Rb_tree, _M_create, __detail …). Public functions such as
 * std::vector<T>::push_back stay, and so do a program's own wrappers such as zmalloc. A stack of
 * nothing else is shown whole.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct buffer;

/* Without return type, parameters, clone suffixes and allocator arguments; std::string by that
 * name. `function` is demangled, in any encoding. No terminating NUL. */
void text_name_short(struct buffer *out, const char *function);
bool text_name_is_wrapper(const char *short_name);
/* True for zmalloc, g_strdup's g_malloc, CRYPTO_zalloc: "alloc" stands in the name behind its
 * scopes. Such a function is shown, but says too little to count as one of those that name a row.
 */
bool text_name_is_allocator(const char *short_name);
/* At most `width` (>= 1) columns: first without template arguments, then without outer scopes, then
 * cut. */
void text_name_fit(struct buffer *out, const char *short_name, size_t width);

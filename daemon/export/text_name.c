/*
 * Names are demangled C++, but also C, Rust, Go and Python: whatever does not look like balanced
 * C++ is left as it is. One walk serves all questions; it knows what stands inside brackets, and
 * that the symbols of `operator<` are no brackets.
 */
#include "export/text_name.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "base/buffer.h"
#include "export/utf8.h"

#define NESTING_MAX 64

struct walk {
	const char *begin, *at, *end;
	char open[NESTING_MAX]; /* brackets around `at` */
	int depth;
	bool seen_operator; /* outside of brackets */
	bool unbalanced;
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$';
}

static size_t operator_length(const struct walk *w)
{
	static const char word[] = "operator";
	size_t length = sizeof(word) - 1, left = (size_t)(w->end - w->at);
	if (left < length || memcmp(w->at, word, length) != 0)
		return 0;
	if ((w->at > w->begin && is_word(w->at[-1])) || (left > length && is_word(w->at[length])))
		return 0;
	const char *symbols = w->at + length;
	size_t room = left - length;
	if (room >= 2 && (memcmp(symbols, "()", 2) == 0 || memcmp(symbols, "[]", 2) == 0))
		return length + 2;
	while (room > 0 && strchr("<>=!+-*/%^&|~,", *symbols))
		symbols++, room--;
	return (size_t)(symbols - w->at);
}

static void track_bracket(struct walk *w, char c)
{
	static const char opening[] = "<([{", closing[] = ">)]}";
	const char *found = strchr(opening, c);
	if (found) {
		if (w->depth == NESTING_MAX)
			w->unbalanced = true;
		else
			w->open[w->depth++] = c;
		return;
	}
	found = strchr(closing, c);
	if (!found)
		return;
	char partner = opening[found - closing];
	if (w->depth > 0 && w->open[w->depth - 1] == partner)
		w->depth--;
	else if (c != '>') /* "->" and "a > b" close nothing */
		w->unbalanced = true;
}

/* Moves over one character, or over a whole operator; false at the end. */
static bool step(struct walk *w)
{
	if (w->at >= w->end || w->unbalanced)
		return false;
	size_t length = operator_length(w);
	if (length > 0) {
		w->seen_operator |= w->depth == 0;
		w->at += length;
		return true;
	}
	track_bracket(w, *w->at++);
	return true;
}

static bool ends_with(const char *begin, const char *end, const char *suffix)
{
	size_t length = strlen(suffix);
	return (size_t)(end - begin) > length && memcmp(end - length, suffix, length) == 0;
}

static const char *without_qualifiers(const char *begin, const char *end)
{
	static const char *const suffixes[] = {" const", " volatile", " &", " &&", " noexcept"};
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]);) {
		if (ends_with(begin, end, suffixes[i])) {
			end -= strlen(suffixes[i]);
			i = 0;
		} else {
			i++;
		}
	}
	return end;
}

static const char *without_parameters(const char *begin, const char *end)
{
	const char *clone = strstr(begin, " [clone ");
	if (clone && clone > begin)
		end = clone;
	const char *last = without_qualifiers(begin, end), *open = NULL;
	struct walk w = {.begin = begin, .at = begin, .end = last};
	for (int depth = 0; step(&w); depth = w.depth)
		if (depth == 0 && w.depth == 1 && w.at[-1] == '(')
			open = w.at - 1;
	bool is_function = !w.unbalanced && w.depth == 0 && last > begin && last[-1] == ')';
	return is_function && open && open > begin ? open : end;
}

static bool is_qualifier(const char *at, const char *end)
{
	static const char *const words[] = {"const::", "volatile::", "&::", "&&::"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t length = strlen(words[i]);
		if ((size_t)(end - at) >= length && memcmp(at, words[i], length) == 0)
			return true;
	}
	return false;
}

static const char *without_return_type(const char *begin, const char *end)
{
	const char *name = begin;
	struct walk w = {.begin = begin, .at = begin, .end = end};
	while (step(&w) && !w.seen_operator)
		if (w.depth == 0 && w.at[-1] == ' ' && w.at < end && !is_qualifier(w.at, end))
			name = w.at;
	bool is_whole = !w.unbalanced && (w.seen_operator || w.depth == 0);
	return is_whole ? name : begin;
}

static const struct {
	const char *from, *to;
} replacements[] = {
	{"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
		"std::string"},
	{"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char>>",
		"std::string"},
	{"std::__cxx11::", "std::"},
	{" >", ">"},
};

/* Behind ", std::allocator<…>", or NULL if `s` does not begin so or has no end of it. */
static const char *behind_allocator_argument(const char *s, bool *is_closed)
{
	static const char start[] = ", std::allocator<";
	size_t length = sizeof(start) - 1;
	if (strncmp(s, start, length) != 0)
		return NULL;
	int depth = 1;
	for (s += length; *s && depth; s++)
		depth += (*s == '<') - (*s == '>');
	*is_closed = depth == 0;
	return *is_closed ? s : NULL;
}

/* Appends `s` with what a reader of C++ takes for granted left out. An argument list that is never
 * closed is looked for once, which keeps the time linear for names that were made to cost time. */
static void append_simplified(struct buffer *out, const char *s)
{
	bool is_closed = true;
	while (*s) {
		const char *to = NULL, *behind = NULL;
		if (is_closed && *s == ',')
			behind = behind_allocator_argument(s, &is_closed);
		for (size_t i = 0; !behind && i < sizeof(replacements) / sizeof(replacements[0]);
			i++) {
			size_t length = strlen(replacements[i].from);
			if (strncmp(s, replacements[i].from, length) == 0) {
				to = replacements[i].to;
				behind = s + length;
			}
		}
		if (to)
			buffer_puts(out, to);
		else if (!behind)
			buffer_putc(out, *s);
		s = behind ? behind : s + 1;
	}
}

void text_name_short(struct buffer *out, const char *function)
{
	struct buffer ascii = BUFFER_INIT, simple = BUFFER_INIT;
	utf8_append_ascii(&ascii, *function ? function : "?");
	buffer_putc(&ascii, '\0');
	append_simplified(&simple, (const char *)ascii.data);
	buffer_putc(&simple, '\0');
	const char *begin = (const char *)simple.data, *end = begin + simple.size - 1;
	if (*begin != '[') { /* "[libc.so.6+0x1234]", "[other]" */
		const char *open = without_parameters(begin, end);
		/* only a function that has parameters can have its return type written */
		if (open < end)
			begin = without_return_type(begin, open);
		end = open;
	}
	buffer_append(out, begin, (size_t)(end - begin));
	if (begin == end) /* all of it was something to leave out: no function's name */
		buffer_puts(out, (const char *)ascii.data);
	buffer_deinit(&ascii);
	buffer_deinit(&simple);
}

/* ---- wrappers ---- */

static bool equals(const char *begin, const char *end, const char *word)
{
	size_t length = strlen(word);
	return (size_t)(end - begin) == length && memcmp(begin, word, length) == 0;
}

static bool equals_any(const char *begin, const char *end, const char *const *words)
{
	for (; *words; words++)
		if (equals(begin, end, *words))
			return true;
	return false;
}

/* One scope of a name in std, without its template arguments. */
static bool is_library_internal(const char *begin, const char *end)
{
	static const char *const inline_namespaces[] = {
		"__cxx11", "__1", "__ndk1", "__8", "_V2", NULL};
	static const char *const allocators[] = {
		"allocator", "allocator_traits", "polymorphic_allocator", NULL};
	if (equals_any(begin, end, inline_namespaces))
		return false;
	bool is_reserved = end - begin >= 2 && begin[0] == '_' &&
			   (begin[1] == '_' || isupper((unsigned char)begin[1]));
	return is_reserved || equals_any(begin, end, allocators);
}

static const char *without_arguments(const char *begin, const char *end)
{
	const char *open = memchr(begin, '<', (size_t)(end - begin));
	return open ? open : end;
}

/* Of the scope that starts at `begin`: the next "::" outside of brackets, or the name's end. */
static const char *scope_end(const char *begin, const char *end)
{
	struct walk w = {.begin = begin, .at = begin, .end = end};
	do {
		if (w.depth == 0 && end - w.at >= 2 && w.at[0] == ':' && w.at[1] == ':')
			return w.at;
	} while (step(&w));
	return end;
}

bool text_name_is_wrapper(const char *short_name)
{
	const char *end = short_name + strlen(short_name), *scope = scope_end(short_name, end);
	if (strncmp(short_name, "operator new", 12) == 0 && !is_word(short_name[12]))
		return true;
	if (equals(short_name, scope, "__gnu_cxx"))
		return scope < end;
	if (!equals(short_name, scope, "std"))
		return false;
	while (scope < end) {
		const char *begin = scope + 2;
		scope = scope_end(begin, end);
		if (is_library_internal(begin, without_arguments(begin, scope)))
			return true;
	}
	return false;
}

bool text_name_is_allocator(const char *short_name)
{
	const char *end = short_name + strlen(short_name), *begin = short_name;
	for (const char *scope; (scope = scope_end(begin, end)) < end;)
		begin = scope + 2;
	end = without_arguments(begin, end);
	for (; *short_name != '[' && end - begin >= 5; begin++)
		if (strncasecmp(begin, "alloc", 5) == 0)
			return true;
	return false;
}

/* ---- fitting ---- */

static void append_collapsed(struct buffer *out, const char *begin, const char *end)
{
	struct walk w = {.begin = begin, .at = begin, .end = end};
	const char *from = begin;
	for (int depth = 0; step(&w); depth = w.depth) {
		/* a leading '<' is Rust's "<T as Trait>" or Python's "<module>" */
		if (depth == 0 && w.depth == 1 && w.at[-1] == '<' && w.at - 1 > begin) {
			buffer_append(out, from, (size_t)(w.at - from));
			buffer_puts(out, "..");
			from = end;
		} else if (depth == 1 && w.depth == 0 && w.at[-1] == '>' && from == end) {
			from = w.at - 1;
		}
	}
	buffer_append(out, from, (size_t)(end - from));
}

/* The longest tail that starts at a scope and fits behind "..", or NULL. */
static const char *fitting_tail(const char *begin, const char *end, size_t width)
{
	const char *scope = scope_end(begin, end);
	while (scope < end) {
		const char *tail = scope + 2;
		if ((size_t)(end - tail) + 2 <= width)
			return tail;
		scope = scope_end(tail, end);
	}
	return NULL;
}

void text_name_fit(struct buffer *out, const char *short_name, size_t width)
{
	size_t length = strlen(short_name);
	if (length <= width) {
		buffer_puts(out, short_name);
		return;
	}
	struct buffer collapsed = BUFFER_INIT;
	append_collapsed(&collapsed, short_name, short_name + length);
	const char *begin = (const char *)collapsed.data, *end = begin + collapsed.size;
	const char *tail = collapsed.size <= width ? begin : fitting_tail(begin, end, width);
	if (tail) {
		if (tail > begin)
			buffer_puts(out, "..");
		buffer_append(out, tail, (size_t)(end - tail));
	} else {
		size_t kept = width > 2 ? width - 2 : width;
		buffer_append(out, begin, kept);
		if (width > 2)
			buffer_puts(out, "..");
	}
	buffer_deinit(&collapsed);
}

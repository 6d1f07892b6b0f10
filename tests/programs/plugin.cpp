// A library that a C program loads privately: C++ with a global object, an exception, and frames whose size differs
// between the two that are built of this (PLUGIN_FRAME), so that rules for the one are wrong for the other.
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>

static std::string *const global = new std::string(300, 'x');

struct Closer {
	~Closer() { delete global; }
};
static Closer closer;

static volatile std::size_t too_much = PTRDIFF_MAX;

extern "C" {
__attribute__((noinline)) void *plugin_make(int depth)
{
	volatile char frame[PLUGIN_FRAME];

	frame[0] = static_cast<char>(depth);
	void *block = depth > 0 ? plugin_make(depth - 1) : ::operator new(200);
	return frame[0] == static_cast<char>(depth) ? block : nullptr;
}

void plugin_drop(void *block)
{
	::operator delete(block);
}

int plugin_throws()
{
	void *volatile block = nullptr;

	try {
		block = ::operator new(too_much);
	} catch (const std::bad_alloc &) {
		return block == nullptr;
	}
	return 0;
}
}

// The forms of operator new and delete, in an order that pairs each delete with a new that it may free.
#include "programs/tracked_new.h"
#include <new>

static const std::align_val_t alignment{64};

void *tracked_new_make(int form, size_t size)
{
	switch (form) {
	case 0:
	case 1:
		return ::operator new(size);
	case 2:
	case 3:
		return ::operator new[](size);
	case 4:
		return ::operator new(size, std::nothrow);
	case 5:
		return ::operator new[](size, std::nothrow);
	case 6:
	case 7:
		return ::operator new(size, alignment);
	case 8:
	case 9:
		return ::operator new[](size, alignment);
	case 10:
		return ::operator new(size, alignment, std::nothrow);
	default:
		return ::operator new[](size, alignment, std::nothrow);
	}
}

void tracked_new_drop(int form, void *block, size_t size)
{
	switch (form) {
	case 0:
		return ::operator delete(block);
	case 1:
		return ::operator delete(block, size);
	case 2:
		return ::operator delete[](block);
	case 3:
		return ::operator delete[](block, size);
	case 4:
		return ::operator delete(block, std::nothrow);
	case 5:
		return ::operator delete[](block, std::nothrow);
	case 6:
		return ::operator delete(block, alignment);
	case 7:
		return ::operator delete(block, size, alignment);
	case 8:
		return ::operator delete[](block, alignment);
	case 9:
		return ::operator delete[](block, size, alignment);
	case 10:
		return ::operator delete(block, alignment, std::nothrow);
	default:
		return ::operator delete[](block, alignment, std::nothrow);
	}
}

// Through memory that the compiler cannot see through, or it leaves the allocation out.
static void *volatile made;

template <typename Function> static bool throws(Function function)
{
	try {
		made = function();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

int tracked_new_throws(size_t size)
{
	made = ::operator new(size, std::nothrow);
	bool none = made == nullptr;
	made = ::operator new[](size, alignment, std::nothrow);
	return none && made == nullptr && throws([=] { return ::operator new(size); }) &&
		throws([=] { return ::operator new[](size); }) &&
		throws([=] { return ::operator new(size, alignment); }) &&
		throws([=] { return ::operator new[](size, alignment); });
}

void *tracked_new_left_by_destructor;

namespace
{
struct Leaver {
	int armed = 0;
	~Leaver()
	{
		if (armed)
			tracked_new_left_by_destructor = ::operator new(500);
	}
};
thread_local Leaver leaver;
}

void tracked_new_thread_local(void)
{
	leaver.armed = 1;
}

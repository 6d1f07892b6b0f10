// operator new and delete in all forms, and an exception through the agent's hook. Prints TAP.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>
#include <vector>

static int tests, failures;

static void check(bool ok, const char *what)
{
	failures += !ok;
	std::printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
}

struct alignas(256) Wide {
	char bytes[512];
};

static bool aligned(const void *p, std::size_t alignment)
{
	return p && reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

static void plain_forms()
{
	for (int i = 0; i < 2000; i++) {
		void *one = ::operator new(i);
		void *many = ::operator new[](i);
		void *quiet = ::operator new(i, std::nothrow);
		void *quiet_many = ::operator new[](i, std::nothrow);

		::operator delete(one);
		::operator delete[](many, static_cast<std::size_t>(i));
		::operator delete(quiet, std::nothrow);
		::operator delete[](quiet_many, std::nothrow);
		::operator delete(::operator new(i), static_cast<std::size_t>(i));
		::operator delete[](::operator new[](i));
	}
	check(true, "plain and nothrow forms");
}

static void aligned_forms()
{
	const std::align_val_t alignment{256};
	bool right = true;

	for (int i = 1; i < 500; i++) {
		void *one = ::operator new(i, alignment);
		void *many = ::operator new[](i, alignment);
		void *quiet = ::operator new(i, alignment, std::nothrow);
		void *quiet_many = ::operator new[](i, alignment, std::nothrow);

		right = right && aligned(one, 256) && aligned(many, 256) && aligned(quiet, 256) &&
			aligned(quiet_many, 256);
		::operator delete(one, alignment);
		::operator delete[](many, static_cast<std::size_t>(i), alignment);
		::operator delete(quiet, alignment, std::nothrow);
		::operator delete[](quiet_many, alignment, std::nothrow);
		::operator delete(::operator new(i, alignment), static_cast<std::size_t>(i), alignment);
		::operator delete[](::operator new[](i, alignment), alignment);
		delete new Wide;
	}
	check(right, "aligned forms align");
}

static std::size_t volatile too_much = PTRDIFF_MAX;

static void exceptions()
{
	int caught = 0;

	for (int i = 0; i < 100; i++) {
		try {
			static_cast<void>(::operator new(too_much));
		} catch (const std::bad_alloc &) {
			caught++;
		}
		try {
			static_cast<void>(::operator new[](too_much, std::align_val_t{64}));
		} catch (const std::bad_alloc &) {
			caught++;
		}
	}
	check(caught == 200, "bad_alloc passes through the hooks");
	check(::operator new(too_much, std::nothrow) == nullptr, "nothrow returns null");
}

static void containers()
{
	std::vector<std::thread> threads;

	for (int t = 0; t < 4; t++)
		threads.emplace_back([] {
			std::vector<std::string> strings;
			for (int i = 0; i < 20000; i++)
				strings.push_back(std::string(i % 100, 'x'));
		});
	for (auto &thread : threads)
		thread.join();
	check(true, "containers in threads");
}

int main()
{
	plain_forms();
	aligned_forms();
	exceptions();
	containers();
	std::printf("1..%d\n", tests);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

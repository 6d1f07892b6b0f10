/*
 * Shapes of frames times sizes. Compiled with optimisation and without frame pointers, so that the
 * shape alone decides how a frame is laid out. Each function's number of arguments is such that
 * some are passed on the stack, which makes realigned frames find their arguments through a third
 * register (DRAP).
 */
#include "unwind_truth.h"
#include <alloca.h>
#include <string.h>

typedef int function(int depth, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
	unsigned long e, unsigned long f, unsigned long g);

uintptr_t unwind_truth[UNWIND_TRUTH_MAX_DEPTH];
static volatile int sink;
static void (*run_leaf)(void);
static int next(int depth, unsigned number, unsigned long a, unsigned long b, unsigned long c);

#define FUNCTION(name)                                                                             \
	static __attribute__((noinline)) int name(int depth, unsigned long a, unsigned long b,     \
		unsigned long c, unsigned long d, unsigned long e, unsigned long f,                \
		unsigned long g)

#define TELL() (unwind_truth[depth] = (uintptr_t)__builtin_return_address(0))

/* Saved registers only: everything is needed after the call. */
#define PUSHES(size)                                                                               \
	FUNCTION(pushes_##size)                                                                    \
	{                                                                                          \
		TELL();                                                                            \
		unsigned long x = a * size + b, y = b - c, z = c ^ d;                              \
		int result = next(depth, size, x, y, z);                                           \
		return (int)(result + x * y - z + e - f + g + sink);                               \
	}

#define ARRAY(size)                                                                                \
	FUNCTION(array_##size)                                                                     \
	{                                                                                          \
		TELL();                                                                            \
		volatile char buffer[size];                                                        \
		buffer[a & 7] = (char)b;                                                           \
		int result = next(depth, size + 1, a + 1, b, c);                                   \
		return (int)(result + buffer[c & 7] + d + e - f + g);                              \
	}

#define ALLOCA(size)                                                                               \
	FUNCTION(alloca_##size)                                                                    \
	{                                                                                          \
		TELL();                                                                            \
		char *buffer = alloca((size_t)(a & 15) + size);                                    \
		memset(buffer, (int)b, 8);                                                         \
		sink += buffer[3];                                                                 \
		int result = next(depth, size + 2, a, b, c);                                       \
		return (int)(result + buffer[c & 7] + d - e + f + g);                              \
	}

#define REALIGNED(size)                                                                            \
	FUNCTION(realigned_##size)                                                                 \
	{                                                                                          \
		TELL();                                                                            \
		_Alignas(64) volatile char buffer[size];                                           \
		buffer[a & 7] = (char)b;                                                           \
		int result = next(depth, size + 3, a + 1, b, c);                                   \
		return (int)(result + buffer[c & 7] + d + e + f - g);                              \
	}

#define REALIGNED_ALLOCA(size)                                                                     \
	FUNCTION(realigned_alloca_##size)                                                          \
	{                                                                                          \
		TELL();                                                                            \
		_Alignas(64) volatile char buffer[64];                                             \
		char *more = alloca((size_t)(b & 15) + size);                                      \
		memset(more, (int)c, 8);                                                           \
		buffer[a & 7] = more[1];                                                           \
		int result = next(depth, size + 4, a, b + 1, c);                                   \
		return (int)(result + buffer[c & 7] + more[2] + d - e + f + g);                    \
	}

/* The call is in the middle of the code, between pushes and pops that -Os style code may reuse. */
#define LOOP(size)                                                                                 \
	FUNCTION(loop_##size)                                                                      \
	{                                                                                          \
		TELL();                                                                            \
		int result = 0;                                                                    \
		for (unsigned long x = a, i = 0; i < 3; i++, x *= b)                               \
			result += i == 1 ? next(depth, size + 5, x, b, c) : (int)(x & size);       \
		return (int)(result + c + d - e + f + g);                                          \
	}

#define SIZES(SHAPE)                                                                               \
	SHAPE(8) SHAPE(24) SHAPE(72) SHAPE(136) SHAPE(264) SHAPE(1032) SHAPE(4104) SHAPE(40008)
#define SMALL(shape)                                                                               \
	shape##_8, shape##_24, shape##_72, shape##_136, shape##_264, shape##_1032, shape##_4104

SIZES(PUSHES)
SIZES(ARRAY)
SIZES(ALLOCA)
SIZES(REALIGNED)
SIZES(REALIGNED_ALLOCA)
SIZES(LOOP)

static function *const functions[] = {SMALL(pushes), SMALL(array), SMALL(alloca), SMALL(loop),
	pushes_40008, array_40008, alloca_40008, loop_40008, SMALL(realigned), realigned_40008,
	SMALL(realigned_alloca), realigned_alloca_40008};
static unsigned function_count = sizeof(functions) / sizeof(functions[0]);

unsigned unwind_truth_functions(void)
{
	return function_count;
}

void unwind_truth_ordinary(void)
{
	function_count = 28;
}

/* Inlined into each function, so that the chain consists of them alone. */
static inline __attribute__((always_inline)) int next(
	int depth, unsigned number, unsigned long a, unsigned long b, unsigned long c)
{
	if (!depth) {
		run_leaf();
		return 1;
	}
	unsigned index = ((unsigned)depth * 7 + number) % unwind_truth_functions();
	return functions[index](depth - 1, a, b, c, a ^ b, b ^ c, a + c, b + c);
}

int unwind_truth_run(unsigned first, int depth, void (*leaf)(void))
{
	run_leaf = leaf;
	return functions[first % unwind_truth_functions()](depth - 1, 3, 5, 7, 11, 13, 17, 19) +
	       sink;
}

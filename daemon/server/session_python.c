/* The words are a worker's: any value. */
#include "config.h"
#include "server/session_python.h"
#include <stdint.h>
#include <stdio.h>
#include "server/session.h"

/* PY_VERSION_HEX: major, minor, micro, then four bits each of level and serial. */
static int put_version(char *text, size_t size, uint32_t version)
{
	static const char *const levels[16] = {[0xa] = "a", [0xb] = "b", [0xc] = "rc"};
	const char *level = levels[version >> 4 & 0xf];
	int length = snprintf(text, size, "CPython %u.%u.%u", version >> 24, version >> 16 & 0xff,
		version >> 8 & 0xff);
	if (level == NULL)
		return length;
	return length +
	       snprintf(text + length, size - (size_t)length, "%s%u", level, version & 0xf);
}

static const char *describe_frames(unsigned python)
{
	static const char *const clauses[WIRE_PYTHON_KINDS] = {
		[WIRE_PYTHON_FRAMES] = "frames in stacks",
		[WIRE_PYTHON_OFF] = "no frames in stacks (SPPROF_PYTHON=0)",
		[WIRE_PYTHON_VERSION] = "no frames in stacks: this version's are not known; "
					"3.9 to 3.14 are, from their final releases on",
		[WIRE_PYTHON_LAYOUT] = "no frames in stacks: its structures are not those of a "
				       "release build of CPython",
	};
	return python < WIRE_PYTHON_KINDS ? clauses[python] : NULL;
}

static const char *describe_objects(unsigned objects)
{
	static const char *const clauses[WIRE_OBJECTS_KINDS] = {
		[WIRE_OBJECTS_NONE] = "small objects not looked at yet",
		[WIRE_OBJECTS_SAMPLED] = "small objects sampled",
		[WIRE_OBJECTS_OFF] = "small objects not sampled (SPPROF_PYTHON_OBJECTS=0)",
		[WIRE_OBJECTS_MALLOC] = "small objects come from malloc, and are sampled there",
		[WIRE_OBJECTS_LOST] =
			"small objects sampled no more: another allocator was put back",
	};
	return objects < WIRE_OBJECTS_KINDS ? clauses[objects]
					    : "small objects in an unknown state";
}

char *session_python_describe(const struct session *session, char text[static SESSION_PYTHON_SIZE])
{
	struct session_numbers numbers;
	session_numbers(session, &numbers);
	const char *frames = describe_frames(numbers.agent.python & 0xff);
	text[0] = '\0';
	if (frames == NULL)
		return text;
	int length = snprintf(text, SESSION_PYTHON_SIZE, "Python");
	if (numbers.agent.python_version != 0)
		length = put_version(text, SESSION_PYTHON_SIZE, numbers.agent.python_version);
	snprintf(text + length, SESSION_PYTHON_SIZE - (size_t)length, ": %s; %s", frames,
		describe_objects(numbers.agent.python >> 8 & 0xff));
	return text;
}

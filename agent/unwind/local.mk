# The unwinder is a part of the agent; the oracle of the tests is built from the same sources.
unwind_sources = \
	agent/unwind/arch.h \
	agent/unwind/cfi.c agent/unwind/cfi.h \
	agent/unwind/cursor.c agent/unwind/cursor.h \
	agent/unwind/eh_frame.c agent/unwind/eh_frame.h \
	agent/unwind/memo.c agent/unwind/memo.h \
	agent/unwind/objects.c agent/unwind/objects.h \
	agent/unwind/rule_cache.c agent/unwind/rule_cache.h \
	agent/unwind/stack_bounds.c agent/unwind/stack_bounds.h \
	agent/unwind/walk.c agent/unwind/walk.h
libagent_la_SOURCES += $(unwind_sources)

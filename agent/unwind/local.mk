# The unwinder is a part of the agent; the oracle of the tests is built from the same sources.
unwind_sources = \
	agent/unwind/arch.h agent/unwind/arch_aarch64.h agent/unwind/arch_x86_64.h \
	agent/unwind/cfi.c agent/unwind/cfi.h \
	agent/unwind/cursor.c agent/unwind/cursor.h \
	agent/unwind/eh_frame.c agent/unwind/eh_frame.h \
	agent/unwind/memo.c agent/unwind/memo.h \
	agent/unwind/object_list.c agent/unwind/object_list.h \
	agent/unwind/objects.c agent/unwind/objects.h \
	agent/unwind/rule_cache.c agent/unwind/rule_cache.h \
	agent/unwind/rule_cache_aarch64.h agent/unwind/rule_cache_x86_64.h \
	agent/unwind/stack_bounds.c agent/unwind/stack_bounds.h \
	agent/unwind/trampoline.c agent/unwind/trampoline.h \
	agent/unwind/walk.c agent/unwind/walk.h
libagent_la_SOURCES += $(unwind_sources)

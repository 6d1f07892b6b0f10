# The agent may see only itself and the wire headers; it links libc alone.
agent_cppflags = -I$(builddir) -I$(srcdir)/include -I$(srcdir)/agent
agent_cflags = $(AM_CFLAGS) -ftls-model=initial-exec -fno-math-errno

# Everything but the interposed entry points, so that tests link the modules without hooking their own malloc.
noinst_LTLIBRARIES += libagent.la
libagent_la_CPPFLAGS = $(agent_cppflags) -DHAVE_CONFIG_H
libagent_la_CFLAGS = $(agent_cflags)
libagent_la_SOURCES = \
	agent/fence.c agent/fence.h \
	agent/thread_state.c agent/thread_state.h \
	agent/reentry_guard.h \
	agent/sampler.c agent/sampler.h \
	agent/bloom_filter.c agent/bloom_filter.h \
	agent/heap_map.c agent/heap_map.h \
	agent/stack_store.c agent/stack_store.h \
	agent/stack_code.c agent/stack_code.h \
	agent/lease.c agent/lease.h \
	agent/fork_word.c agent/fork_word.h \
	agent/private_memory.c agent/private_memory.h \
	agent/segment.c agent/segment.h agent/version.h \
	agent/ring_producer.c agent/ring_producer.h \
	agent/mark_ring.c agent/mark_ring.h \
	agent/scratch_pool.c agent/scratch_pool.h \
	agent/settings.c agent/settings.h \
	agent/announce.c agent/announce.h \
	agent/audit.c agent/audit.h \
	agent/record_encode.c agent/record_encode.h \
	agent/resync.c agent/resync.h \
	agent/platform/linux/seccomp_state.c agent/platform/linux/seccomp_state.h \
	agent/tracker.h agent/lifecycle.h agent/attach.h \
	agent/platform/linux/raw_syscall.h \
	agent/platform/linux/interpose_new.h \
	agent/platform/linux/next_allocator.h

# Calls from hook to hook must be found in the program's search order, which clang has to be told. Hooks jump on.
# The hooks know their caller's frame by their own frame pointer; exceptions of operator new pass through them.
pkglib_LTLIBRARIES += libspprof-agent.la
libspprof_agent_la_CPPFLAGS = $(libagent_la_CPPFLAGS)
libspprof_agent_la_CFLAGS = $(agent_cflags) -fexceptions -fasynchronous-unwind-tables -fsemantic-interposition \
	-foptimize-sibling-calls
libspprof_agent_la_SOURCES = \
	agent/lifecycle.c \
	agent/tracker.c \
	agent/public_api.c \
	agent/attach.c \
	agent/python/allocators.c agent/python/allocators.h \
	agent/python/object_hooks.c agent/python/object_hooks.h \
	agent/platform/linux/next_allocator.c \
	agent/platform/linux/interpose_malloc.c \
	agent/platform/linux/interpose_new.c
libspprof_agent_la_LIBADD = libagent.la
libspprof_agent_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-Wl,--version-script=$(srcdir)/agent/agent.map -Wl,-z,now
EXTRA_libspprof_agent_la_DEPENDENCIES = agent/agent.map
EXTRA_DIST += agent/agent.map

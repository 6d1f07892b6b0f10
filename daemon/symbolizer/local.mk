# The helper that reads binaries: everything but main in a convenience library, so that tests link the modules.
noinst_LTLIBRARIES += libspsymbolizer.la
libspsymbolizer_la_CPPFLAGS = $(daemon_cppflags) $(proto_cppflags) $(LIBDW_CFLAGS) $(LIBELF_CFLAGS) $(UNWIND_CFLAGS)
libspsymbolizer_la_LIBADD = libspbase.la libspproto.la $(LIBDW_LIBS) $(LIBELF_LIBS) $(IBERTY_LIBS) $(UNWIND_LIBS)
libspsymbolizer_la_SOURCES = \
	daemon/symbolizer/answer_set.c daemon/symbolizer/answer_set.h \
	daemon/symbolizer/audit.c daemon/symbolizer/audit.h \
	daemon/symbolizer/ballast.c daemon/symbolizer/ballast.h \
	daemon/symbolizer/crc32.c daemon/symbolizer/crc32.h \
	daemon/symbolizer/demangle.c daemon/symbolizer/demangle.h \
	daemon/symbolizer/dwarf_functions.c daemon/symbolizer/dwarf_functions.h \
	daemon/symbolizer/dwarf_lines.c daemon/symbolizer/dwarf_lines.h \
	daemon/symbolizer/dwarf_units.c daemon/symbolizer/dwarf_units.h \
	daemon/symbolizer/elf_file.c daemon/symbolizer/elf_file.h \
	daemon/symbolizer/elf_links.c daemon/symbolizer/elf_links.h \
	daemon/symbolizer/file_cache.c daemon/symbolizer/file_cache.h \
	daemon/symbolizer/ranges.c daemon/symbolizer/ranges.h \
	daemon/symbolizer/service.c daemon/symbolizer/service.h \
	daemon/symbolizer/symbol_table.c daemon/symbolizer/symbol_table.h

pkglibexec_PROGRAMS += spprof-symbolizer
spprof_symbolizer_CPPFLAGS = $(daemon_cppflags)
spprof_symbolizer_SOURCES = daemon/symbolizer/main.c
spprof_symbolizer_LDADD = libspsymbolizer.la libsphelper.la

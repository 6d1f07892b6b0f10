# tests/programs

check_PROGRAMS += tests/programs/alloc_family tests/programs/new_forms
tests_programs_alloc_family_SOURCES = tests/programs/alloc_family.c
tests_programs_alloc_family_CFLAGS = $(AM_CFLAGS) -fno-builtin -Wno-alloc-size-larger-than -pthread
tests_programs_alloc_family_LDADD = -lm
tests_programs_new_forms_SOURCES = tests/programs/new_forms.cpp
tests_programs_new_forms_CXXFLAGS = -std=c++17 -Wall -Wextra $(SANITIZER_FLAGS) -pthread

#include "export/text_name.h"
#include <string.h>
#include "base/buffer.h"
#include "support/random.h"
#include "support/tap_main.h"

#define STRING "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"

struct pair {
	const char *in, *out;
};

static void check_short(const struct pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct buffer out = BUFFER_INIT;
		text_name_short(&out, pairs[i].in);
		buffer_putc(&out, '\0');
		ck_assert_str_eq((const char *)out.data, pairs[i].out);
		buffer_deinit(&out);
	}
}

#define CHECK_SHORT(pairs) check_short(pairs, sizeof(pairs) / sizeof(pairs[0]))

START_TEST(cpp_names_lose_what_does_not_help_to_recognise_them)
{
	static const struct pair pairs[] = {
		{"shop::Server::serve(int)", "shop::Server::serve"},
		{"shop::Server::port() const", "shop::Server::port"},
		{"void shop::train<float>(shop::Model&, int) [clone .constprop.0]",
			"shop::train<float>"},
		{"std::pair<int, char> make<int, char>(int, char)", "make<int, char>"},
		{"unsigned long hash<" STRING " >(" STRING " const&)", "hash<std::string>"},
		{STRING "::append(char const*)", "std::string::append"},
		{"std::vector<int, std::allocator<int> >::push_back(int&&)",
			"std::vector<int>::push_back"},
		{"f<std::map<int, A<B>, std::less<int>, std::allocator<std::pair<int const, A<B> > "
		 "> > >()",
			"f<std::map<int, A<B>, std::less<int>>>"},
		{"(anonymous namespace)::render(shop::Page const&)",
			"(anonymous namespace)::render"},
		{"main::{lambda(int)#1}::operator()(int) const",
			"main::{lambda(int)#1}::operator()"},
		{"A::run() const::{lambda()#1}::operator()() const",
			"A::run() const::{lambda()#1}::operator()"},
		{"non-virtual thunk to A::run(int)", "A::run"},
		{"std::function<void (int)>::operator()(int) const",
			"std::function<void (int)>::operator()"},
		{"decltype(auto) call<f>(int)", "call<f>"},
	};
	CHECK_SHORT(pairs);
}
END_TEST

START_TEST(operators_keep_their_symbols_and_types)
{
	static const struct pair pairs[] = {
		{"operator new(unsigned long)", "operator new"},
		{"operator new[](unsigned long, std::nothrow_t const&)", "operator new[]"},
		{"A::operator()(int)", "A::operator()"},
		{"A::operator[](int)", "A::operator[]"},
		{"bool operator< <int>(A<int> const&, A<int> const&)", "operator< <int>"},
		{"std::ostream& operator<< <char>(std::ostream&, char)", "operator<< <char>"},
		{"A::operator->() const", "A::operator->"},
		{"A::operator std::vector<int>() const", "A::operator std::vector<int>"},
		{"bool operator<=><A>(A, A)", "operator<=><A>"},
		{"void* operatorial(int)", "operatorial"},
	};
	CHECK_SHORT(pairs);
}
END_TEST

START_TEST(names_of_other_languages_are_left_as_they_are)
{
	static const struct pair pairs[] = {
		{"zmalloc", "zmalloc"},
		{"zmalloc.part.0", "zmalloc.part.0"},
		{"[libc.so.6+0x1234]", "[libc.so.6+0x1234]"},
		{"[stack not kept]", "[stack not kept]"},
		{"<module>", "<module>"},
		{"Session.<locals>.<listcomp>", "Session.<locals>.<listcomp>"},
		{"<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop",
			"<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop"},
		{"core::ops::function::FnOnce::call_once{{vtable.shim}}",
			"core::ops::function::FnOnce::call_once{{vtable.shim}}"},
		{"main.(*Server).Handle", "main.(*Server).Handle"},
		{"-[NSObject init]", "-[NSObject init]"},
		{"trailing 123 ", "trailing 123 "},
		{"a -> b", "a -> b"},
	};
	CHECK_SHORT(pairs);
}
END_TEST

START_TEST(broken_names_are_shown_and_do_no_harm)
{
	static const struct pair pairs[] = {
		{"", "?"},
		{")", ")"},
		{"()", "()"},
		{"f(", "f("},
		{"f)(", "f)("},
		{"f(]", "f(]"},
		{"operator", "operator"},
		{"operator()", "operator()"},
		{"x, std::allocator<", "x, std::allocator<"},
		{"\033[31m(int)", "\\x1b[31m(int)"},
		{" [clone ", " [clone "},
	};
	CHECK_SHORT(pairs);
}
END_TEST

START_TEST(random_names_stay_printable_and_within_their_width)
{
	static const char *const words[] = {"std::", "operator", "<", ">", "(", ")", "::", " ",
		"const", "[", "]", "{", "}", "a", "Foo", "_M_x", ", std::allocator<", "-", "&",
		"\033", "\xff", "\xc3\xb6", " [clone "};
	struct random random = {7};
	for (int i = 0; i < 20000; i++) {
		struct buffer name = BUFFER_INIT, shown = BUFFER_INIT, fitted = BUFFER_INIT;
		for (uint64_t n = random_next(&random) % 20; n > 0; n--)
			buffer_puts(&name,
				words[random_next(&random) % (sizeof(words) / sizeof(words[0]))]);
		buffer_putc(&name, '\0');
		text_name_short(&shown, (const char *)name.data);
		buffer_putc(&shown, '\0');
		size_t width = 1 + random_next(&random) % 40;
		text_name_fit(&fitted, (const char *)shown.data, width);
		ck_assert_msg(
			fitted.size > 0 && fitted.size <= width, "%s", (const char *)name.data);
		for (size_t k = 0; k < fitted.size; k++)
			if (fitted.data[k] < ' ' || fitted.data[k] >= 0x7f)
				ck_abort_msg("%s", (const char *)name.data);
		text_name_is_wrapper((const char *)shown.data);
		text_name_is_allocator((const char *)shown.data);
		buffer_deinit(&name);
		buffer_deinit(&shown);
		buffer_deinit(&fitted);
	}
}
END_TEST

START_TEST(only_the_runtimes_own_way_to_malloc_counts_as_a_wrapper)
{
	static const char *const wrappers[] = {"operator new", "operator new[]",
		"__gnu_cxx::new_allocator<int>::allocate", "std::allocator<int>::allocate",
		"std::allocator_traits<std::allocator<int>>::allocate",
		"std::_Vector_base<int>::_M_allocate",
		"std::vector<int>::_M_realloc_insert<int const&>", "std::string::_M_create",
		"std::__detail::_Hashtable_alloc<x>::_M_allocate_node",
		"std::_Rb_tree<int, std::pair<a::b, c>>::_M_get_node",
		"std::__1::__libcpp_allocate", "std::pmr::polymorphic_allocator<int>::allocate",
		"std::__cxx11::_List_base<int>::_M_get_node"};
	static const char *const users[] = {"operator newest", "operator==", "zmalloc",
		"malloc_wrapper", "std::vector<int>::push_back",
		"std::map<int, std::_Rb_tree<x>>::operator[]", "std::string::append",
		"std::make_unique<Session>", "shop::_M_create", "shop::std::_M_create",
		"mystd::allocator<int>::allocate", "std::__1::vector<int>::push_back", "__gnu_cxx",
		"std", "allocator<int>::allocate", "?", "[std::_M_x+0x1]"};
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++)
		ck_assert_msg(text_name_is_wrapper(wrappers[i]), "%s", wrappers[i]);
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		ck_assert_msg(!text_name_is_wrapper(users[i]), "%s", users[i]);
}
END_TEST

START_TEST(functions_named_like_allocators_are_known)
{
	static const char *const allocators[] = {"zmalloc", "ztrymalloc_usable_internal",
		"g_malloc", "CRYPTO_zalloc", "sqlite3MemMalloc", "_PyMem_RawMalloc",
		"pool::Arena<int>::Allocate", "luaM_realloc_"};
	static const char *const others[] = {"sdsnewlen", "alloc::vec::push", "Table<alloc>::grow",
		"[liballoc.so+0x1]", "strdup", "", "allo"};
	for (size_t i = 0; i < sizeof(allocators) / sizeof(allocators[0]); i++)
		ck_assert_msg(text_name_is_allocator(allocators[i]), "%s", allocators[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ck_assert_msg(!text_name_is_allocator(others[i]), "%s", others[i]);
}
END_TEST

START_TEST(a_name_gives_up_arguments_then_scopes_then_its_end)
{
	static const struct {
		const char *name;
		size_t width;
		const char *out;
	} cases[] = {
		{"shop::Registry<shop::Order>::create", 35, "shop::Registry<shop::Order>::create"},
		{"shop::Registry<shop::Order>::create", 34, "shop::Registry<..>::create"},
		{"shop::Registry<shop::Order>::create", 25, "..Registry<..>::create"},
		{"shop::Registry<shop::Order>::create", 21, "..create"},
		{"shop::Registry<shop::Order>::create", 7, "shop:.."},
		{"createEmbeddedStringObject", 10, "createEm.."},
		{"createEmbeddedStringObject", 2, "cr"},
		{"createEmbeddedStringObject", 1, "c"},
		{"<module with a long name>", 10, "<module .."},
		{"a<b>::c<d<e>>::f", 15, "a<..>::c<..>::f"},
		{"operator<< <char, std::less<int>>", 16, "operator<< <..>"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer out = BUFFER_INIT;
		text_name_fit(&out, cases[i].name, cases[i].width);
		buffer_putc(&out, '\0');
		ck_assert_str_eq((const char *)out.data, cases[i].out);
		buffer_deinit(&out);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("text_name");
	TCase *tc = tcase_create("text_name");
	tcase_add_test(tc, cpp_names_lose_what_does_not_help_to_recognise_them);
	tcase_add_test(tc, operators_keep_their_symbols_and_types);
	tcase_add_test(tc, names_of_other_languages_are_left_as_they_are);
	tcase_add_test(tc, broken_names_are_shown_and_do_no_harm);
	tcase_add_test(tc, random_names_stay_printable_and_within_their_width);
	tcase_add_test(tc, only_the_runtimes_own_way_to_malloc_counts_as_a_wrapper);
	tcase_add_test(tc, functions_named_like_allocators_are_known);
	tcase_add_test(tc, a_name_gives_up_arguments_then_scopes_then_its_end);
	suite_add_tcase(s, tc);
	return s;
}

TAP_MAIN(suite)

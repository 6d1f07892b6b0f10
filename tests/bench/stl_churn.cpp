/*
 * stl_churn ROUNDS: what C++ programs do to the heap: strings, trees, hash tables, lists and shared
 * pointers that come and go. Fixed seed; prints a sum that depends on all of it.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

std::uint64_t state = 88172645463325252;

std::uint64_t random_below(std::uint64_t limit) /* xorshift64 (Marsaglia 2003) */
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % limit;
}

struct order {
	std::vector<std::string> lines;
	std::shared_ptr<std::string> customer;
};

std::size_t one_round()
{
	std::map<std::string, order> orders;
	std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> by_day;
	std::deque<std::unique_ptr<std::string>> recent;

	for (std::uint64_t i = 0; i < 10000; i++) {
		std::string name = "order number " + std::to_string(random_below(20000));
		order &one = orders[name];
		one.lines.push_back("position of an order: " + std::to_string(random_below(1000000)));
		if (i % 4 == 0)
			one.customer = std::make_shared<std::string>(name + " was placed by somebody");
		by_day[random_below(365)].push_back(i);
		recent.push_back(std::make_unique<std::string>(std::move(name)));
		if (recent.size() > 400)
			recent.pop_front();
		if (i % 6 == 0)
			orders.erase(orders.begin());
	}
	std::size_t sum = by_day.size() + recent.size();
	for (const auto &pair : orders)
		sum += pair.first.size() + pair.second.lines.size();
	return sum;
}

} // namespace

int main(int argc, char **argv)
{
	std::size_t sum = 0;

	for (int round = argc > 1 ? std::atoi(argv[1]) : 10; round > 0; round--)
		sum += one_round();
	std::printf("%zu\n", sum);
}

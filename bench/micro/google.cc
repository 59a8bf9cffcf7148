// google.cc - the thin shim under Google Benchmark: registers the rows of micro.h and reports TSC cycles for each item.

#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdio>
#include <vector>
#include <x86intrin.h>

#include "micro.h"

extern "C" int rte_eal_init(int argc, char **argv);

namespace
{
constexpr uint64_t kTurns = 64; // between two looks at the clock; run() gets no other number

void Measure(benchmark::State &state, const micro *row)
{
	void *world = row->start();
	const double items_a_turn = row->items_a_turn == 0 ? 1 : row->items_a_turn;
	std::vector<uint64_t> cycles; // of each batch: the median is not moved by a batch that lost its core

	if (world == nullptr) {
		state.SkipWithError("its world could not be made");
		return;
	}
	while (state.KeepRunningBatch(kTurns)) {
		const uint64_t from = __rdtsc();

		row->run(world, kTurns);
		cycles.push_back(__rdtsc() - from);
	}
	std::nth_element(cycles.begin(), cycles.begin() + cycles.size() / 2, cycles.end());
	state.SetItemsProcessed(static_cast<int64_t>(static_cast<double>(state.iterations()) * items_a_turn));
	state.counters["cycles"] = static_cast<double>(cycles[cycles.size() / 2]) / kTurns / items_a_turn;
	state.SetLabel(row->item);
	row->end(world);
}
} // namespace

int main(int argc, char **argv)
{
	char program[] = "postern-micro", no_huge[] = "--no-huge", memory[] = "-m", mib[] = "2048", no_shconf[] = "--no-shconf",
	     no_pci[] = "--no-pci", level[] = "--log-level=error", lcores[] = "-l", first[] = "0", no_telemetry[] = "--no-telemetry";
	char *eal[] = {program, no_huge, memory, mib, no_shconf, no_pci, level, lcores, first, no_telemetry};

	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 2;
	if (rte_eal_init(sizeof(eal) / sizeof(eal[0]), eal) < 0) {
		std::fprintf(stderr, "postern-micro: EAL does not start\n");
		return 1;
	}
	for (size_t i = 0; micro_at(i) != nullptr; i++)
		benchmark::RegisterBenchmark(micro_at(i)->name, Measure, micro_at(i));
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return 0;
}

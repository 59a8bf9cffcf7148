#include "control/eal.h"

#include <rte_config.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ARGS = 64,
	ARG_OCTETS = 512,
	MAIN_LCORE = RTE_MAX_LCORE - 1,
};

struct args {
	char text[ARGS][ARG_OCTETS];
	char *argv[ARGS + 1];
	int count;
};

__attribute__((format(printf, 2, 3))) static void add(struct args *args, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(args->text[args->count], ARG_OCTETS, format, ap);
	va_end(ap);
	args->argv[args->count] = args->text[args->count];
	args->count++;
}

// Free huge pages of 2 MiB, in octets.
static uint64_t huge_octets_free(void)
{
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	char line[32] = "";
	uint64_t pages = 0;

	if (f == NULL)
		return 0;
	if (fgets(line, sizeof(line), f) != NULL)
		pages = strtoull(line, NULL, 10);
	fclose(f);
	return pages << 21;
}

static bool wants_huge(const struct config_dataplane *d)
{
	return d->huge_pages == CONFIG_HUGE_YES ||
	       (d->huge_pages == CONFIG_HUGE_AUTO && huge_octets_free() >= d->memory_octets);
}

// "1@1,3@3,127@(0-7)": each worker on its CPU, the control thread anywhere.
static void add_lcores(struct args *args, const struct config_dataplane *d)
{
	char list[ARG_OCTETS];
	size_t at = 0;

	for (uint32_t i = 0; i < d->worker_count; i++)
		at += (size_t)snprintf(
			list + at, sizeof(list) - at, "%u@%u,", d->workers[i], d->workers[i]);
	snprintf(list + at, sizeof(list) - at, "%d@(0-%ld)", MAIN_LCORE,
		sysconf(_SC_NPROCESSORS_ONLN) - 1);
	add(args, "--lcores=%s", list);
	add(args, "--main-lcore=%d", MAIN_LCORE);
}

// A PCI address starts with digits; everything else is a virtual device.
static bool is_pci(const char *device)
{
	return strspn(device, "0123456789abcdefABCDEF:.") >= 7 && strchr(device, ':') != NULL;
}

// Whether a port before this one is of the same device.
static bool is_there(const struct config *config, uint32_t port)
{
	for (uint32_t i = 0; i < port; i++) {
		if (strcmp(config->ports[i].device, config->ports[port].device) == 0)
			return true;
	}
	return false;
}

static void add_devices(struct args *args, const struct config *config)
{
	bool pci = false;

	for (uint32_t i = 0; i < config->port_count; i++) {
		const char *device = config->ports[i].device;

		pci = pci || is_pci(device);
		if (is_there(config, i))
			continue; // another VLAN of it
		if (is_pci(device))
			add(args, "--allow=%s", device);
		else
			add(args, "--vdev=%s", device);
	}
	if (!pci)
		add(args, "--no-pci");
}

static bool lcores_exist(const struct config_dataplane *d, char why[EAL_WHY_OCTETS])
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (uint32_t i = 0; i < d->worker_count; i++) {
		if (d->workers[i] < (uint32_t)cpus)
			continue;
		snprintf(why, EAL_WHY_OCTETS,
			"dataplane.workers names CPU %u, and this machine has CPUs 0 to %ld: "
			"choose among these",
			d->workers[i], cpus - 1);
		return false;
	}
	return true;
}

bool eal_start(const struct config *config, bool *huge, char why[EAL_WHY_OCTETS])
{
	const struct config_dataplane *d = &config->dataplane;
	static struct args args; // EAL keeps pointers into it

	if (!lcores_exist(d, why))
		return false;
	*huge = wants_huge(d);
	add(&args, "postern-edge");
	add_lcores(&args, d);
	add(&args, "--no-telemetry");
	add(&args, "--log-level=warning");
	add(&args, "-m%llu", (unsigned long long)(d->memory_octets >> 20));
	if (*huge) {
		add(&args, "--in-memory"); // no files of ours in a hugetlbfs
	} else {
		add(&args, "--no-huge"); // in DPDK 22.11 not together with --in-memory
		add(&args, "--no-shconf");
		add(&args, "--iova-mode=va");
	}
	add_devices(&args, config);
	if (rte_eal_init(args.count, args.argv) >= 0)
		return true;
	snprintf(why, EAL_WHY_OCTETS,
		"DPDK does not start: %s; see its lines above. Not enough huge pages? "
		"Set dataplane.huge_pages: no, or reserve them with sysctl vm.nr_hugepages",
		rte_strerror(rte_errno));
	return false;
}

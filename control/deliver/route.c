#include "deliver/route.h"

#include <string.h>
#include <strings.h>

enum {
	RANK_NONE = 0,
	RANK_ANY = 1, // "*"; a suffix ranks above it by its length, an exact name above all
	RANK_EXACT = 1 << 16,
};

static size_t domain_length(const char *domain)
{
	size_t n = strlen(domain);

	return n > 0 && domain[n - 1] == '.' ? n - 1 : n;
}

static size_t match_rank(const char *pattern, const char *domain, size_t octets)
{
	size_t n = strlen(pattern);

	if (strcmp(pattern, "*") == 0)
		return RANK_ANY;
	if (pattern[0] != '.')
		return n == octets && strncasecmp(pattern, domain, n) == 0 ? RANK_EXACT : RANK_NONE;
	if (octets <= n || strncasecmp(pattern, domain + octets - n, n) != 0)
		return RANK_NONE;
	return RANK_ANY + n;
}

static size_t route_rank(const struct config_route *route, const char *domain)
{
	size_t best = RANK_NONE, octets = domain_length(domain);

	for (uint32_t i = 0; i < route->domain_count; i++) {
		size_t rank = match_rank(route->domains[i].name, domain, octets);

		if (rank > best)
			best = rank;
	}
	return best;
}

const struct config_route *route_find(const struct config *config, const char *domain)
{
	const struct config_route *found = NULL;
	size_t best = RANK_NONE;

	for (uint32_t i = 0; i < config->route_count; i++) {
		size_t rank = route_rank(&config->routes[i], domain);

		if (rank <= best)
			continue;
		best = rank;
		found = &config->routes[i];
	}
	return found;
}

static const char *home_domain(const struct config *config, const char *vserver)
{
	for (uint32_t i = 0; i < config->vserver_count; i++) {
		const struct config_vserver *v = &config->vservers[i];

		if (strcmp(v->name, vserver) == 0)
			return v->local_domain_count > 0 ? v->local_domains[0].name : v->fqdn;
	}
	return "";
}

const char *route_domain(const struct config *config, const char *vserver, const char *address)
{
	// The last at sign: a quoted local part may hold one, a domain cannot.
	const char *at = strrchr(address, '@');

	return at != NULL ? at + 1 : home_domain(config, vserver);
}

const struct config_route *route_of_recipient(
	const struct config *config, const char *vserver, const char *address)
{
	return route_find(config, route_domain(config, vserver, address));
}

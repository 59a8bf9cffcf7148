#include "base/ip_addr.h"

#include <arpa/inet.h>
#include <assert.h>

char *ip_addr_print(const struct ip_addr *a, char out[IP_ADDR_TEXT_MAX])
{
	const char *done = ip_addr_is_v4(a)
				   ? inet_ntop(AF_INET, a->octets + 12, out, IP_ADDR_TEXT_MAX)
				   : inet_ntop(AF_INET6, a->octets, out, IP_ADDR_TEXT_MAX);

	assert(done != NULL);
	return out;
}

bool ip_addr_parse(const char *text, struct ip_addr *out)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = ip_addr_from_v4(ntohl(v4.s_addr));
		return true;
	}
	return inet_pton(AF_INET6, text, out->octets) == 1;
}

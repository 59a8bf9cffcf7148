#include "base/drop.h"

#include <assert.h>
#include <ctype.h>
#include <stddef.h>

enum {
	NAME_OCTETS = 64,
};

const char *drop_text(enum drop d)
{
	static const char *const texts[DROP_COUNT] = {
#define DROP(symbol, text) [DROP_##symbol] = (text),
#include "base/drop.def"
#undef DROP
	};

	assert((unsigned)d < DROP_COUNT);
	return texts[d];
}

const char *drop_name(enum drop d)
{
	static const char *const names[DROP_COUNT] = {
#define DROP(symbol, text) [DROP_##symbol] = #symbol,
#include "base/drop.def"
#undef DROP
	};

	static _Thread_local char name[NAME_OCTETS];
	size_t len = 0;

	assert((unsigned)d < DROP_COUNT);
	for (; names[d][len] != '\0' && len + 1 < sizeof(name); len++)
		name[len] = (char)tolower((unsigned char)names[d][len]);
	name[len] = '\0';
	return name;
}

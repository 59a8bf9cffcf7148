#include "base/drop.h"

#include <assert.h>

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

	assert((unsigned)d < DROP_COUNT);
	return names[d];
}

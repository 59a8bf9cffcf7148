#include "base/drop.h"

#include <assert.h>
#include <ctype.h>
#include <stddef.h>

enum {
	DROP_NAME_OCTETS = 32,
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

#define DROP(symbol, text)                                                                         \
	static_assert(sizeof(#symbol) <= DROP_NAME_OCTETS, "the name of this drop is too long");
#include "base/drop.def"
#undef DROP

// The preprocessor has no lower case, so the names are made before main().
static char names[DROP_COUNT][DROP_NAME_OCTETS];

__attribute__((constructor)) static void make_names(void)
{
	static const char *const symbols[DROP_COUNT] = {
#define DROP(symbol, text) [DROP_##symbol] = #symbol,
#include "base/drop.def"
#undef DROP
	};

	for (int d = 0; d < DROP_COUNT; d++) {
		for (size_t i = 0; symbols[d][i] != '\0' && i < DROP_NAME_OCTETS - 1; i++)
			names[d][i] = (char)(tolower)((unsigned char)symbols[d][i]);
	}
}

const char *drop_name(enum drop d)
{
	assert((unsigned)d < DROP_COUNT);
	return names[d];
}

#include "spool/message_id.h"

#include <string.h>

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

enum {
	MESSAGE_ID_DIGITS = MESSAGE_ID_TEXT_MAX - 1, // 13 * 5 bits hold 64
};

char *message_id_print(uint64_t id, char text[MESSAGE_ID_TEXT_MAX])
{
	for (int i = MESSAGE_ID_DIGITS - 1; i >= 0; i--, id >>= 5)
		text[i] = digits[id & 31];
	text[MESSAGE_ID_DIGITS] = '\0';
	return text;
}

bool message_id_parse(const char *text, uint64_t *id)
{
	uint64_t value = 0;

	if (strlen(text) != MESSAGE_ID_DIGITS)
		return false;
	for (int i = 0; i < MESSAGE_ID_DIGITS; i++) {
		const char *digit = strchr(digits, text[i]);

		if (digit == NULL || value >> 59 != 0)
			return false;
		value = value << 5 | (uint64_t)(digit - digits);
	}
	*id = value;
	return true;
}

// Requests of the control socket: whatever is accepted has a sane verb and an object of arguments, and its response is one line.

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/admin_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct admin_request request;
	char why[ADMIN_REQUEST_WHY_MAX] = "", *response;
	size_t len;

	if (admin_request_parse((struct slice){data, size}, &request, why)) {
		size_t verb = strlen(request.verb);

		assert(verb > 0 && verb < ADMIN_REQUEST_VERB_MAX);
		assert(strspn(request.verb, "abcdefghijklmnopqrstuvwxyz-") == verb);
		assert(json_is_object(request.args));
		response = admin_request_response(0, request.verb, json_incref(request.args));
		admin_request_free(&request);
	} else {
		assert(strlen(why) > 0 && request.args == NULL);
		response = admin_request_response(2, why, NULL);
	}
	assert(response != NULL);
	len = strlen(response);
	assert(memchr(response, '\n', len) == response + len - 1);
	free(response);
	return 0;
}

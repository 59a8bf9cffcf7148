#include "deliver/dsn.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "spool/message_id.h"

enum {
	LINE_MAX_OCTETS = 900, // below the 998 of RFC 5322 2.1.1
};

static void put_printable(FILE *f, const char *text, size_t max)
{
	for (size_t i = 0; i < max && text[i] != '\0'; i++)
		fputc(text[i] < ' ' || text[i] > '~' ? '?' : text[i], f);
}

static void put_date(FILE *f, const char *name, int64_t at_s)
{
	static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct tm tm;
	time_t t = (time_t)at_s;

	// Not strftime(): its names follow the locale, those of RFC 5322 3.3 do not.
	if (gmtime_r(&t, &tm) == NULL)
		return;
	fprintf(f, "%s: %s, %d %s %d %02d:%02d:%02d +0000\r\n", name, days[tm.tm_wday], tm.tm_mday,
		months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static size_t digits(const char *text, size_t max)
{
	size_t n = 0;

	while (n < max && text[n] >= '0' && text[n] <= '9')
		n++;
	return n;
}

char *dsn_status(const char *text, char out[DSN_STATUS_MAX])
{
	const char *at = strlen(text) > 4 ? text + 4 : "";
	size_t subject, detail = 0;

	snprintf(out, DSN_STATUS_MAX, "%c.0.0", text[0] == '4' ? '4' : '5');
	if ((at[0] != '4' && at[0] != '5') || at[1] != '.')
		return out;
	subject = digits(at + 2, 3);
	if (subject > 0 && at[2 + subject] == '.')
		detail = digits(at + 3 + subject, 3);
	if (detail > 0)
		snprintf(out, DSN_STATUS_MAX, "%.*s", (int)(3 + subject + detail), at);
	return out;
}

static void put_header(FILE *f, const struct dsn *dsn, const char *boundary)
{
	char id[MESSAGE_ID_TEXT_MAX];

	put_date(f, "Date", dsn->now_s);
	fprintf(f, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: <", dsn->host);
	put_printable(f, dsn->message->sender, LINE_MAX_OCTETS);
	fprintf(f,
		">\r\nSubject: Undelivered mail returned to sender\r\nMessage-ID: <%s.%016" PRIx64
		"@%s>\r\n"
		"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status;\r\n"
		"\tboundary=\"%s\"\r\n\r\n",
		message_id_print(dsn->message->id, id), dsn->random, dsn->host, boundary);
}

static void put_notice(FILE *f, const struct dsn *dsn)
{
	char id[MESSAGE_ID_TEXT_MAX];

	fprintf(f,
		"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
		"This is the mail system at %s.\r\n\r\n"
		"Your message (queue id %s) could not be delivered to these recipients;\r\n"
		"no further attempt will be made.\r\n\r\n",
		dsn->host, message_id_print(dsn->message->id, id));
	for (uint32_t i = 0; i < dsn->rcpt_count; i++) {
		fputs("  <", f);
		put_printable(f, dsn->rcpts[i].address, LINE_MAX_OCTETS);
		fputs(">\r\n      ", f);
		put_printable(f, dsn->rcpts[i].text, LINE_MAX_OCTETS);
		fputs("\r\n", f);
	}
	fputs("\r\n", f);
}

static void put_status(FILE *f, const struct dsn *dsn)
{
	char status[DSN_STATUS_MAX];

	fprintf(f, "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; %s\r\n",
		dsn->host);
	put_date(f, "Arrival-Date", dsn->message->commit.arrived_s);
	for (uint32_t i = 0; i < dsn->rcpt_count; i++) {
		const struct dsn_rcpt *r = &dsn->rcpts[i];

		fputs("\r\nFinal-Recipient: rfc822; ", f);
		put_printable(f, r->address, LINE_MAX_OCTETS);
		fprintf(f, "\r\nAction: failed\r\nStatus: %s\r\n", dsn_status(r->text, status));
		if (r->hop[0] != '\0') {
			fputs("Remote-MTA: dns; ", f);
			put_printable(f, r->hop, LINE_MAX_OCTETS);
			fputs("\r\n", f);
		}
		fprintf(f, "Diagnostic-Code: %s; ", r->hop[0] != '\0' ? "smtp" : "x-postern");
		put_printable(f, r->text, LINE_MAX_OCTETS);
		fputs("\r\n", f);
	}
	fputs("\r\n", f);
}

static void put_line(FILE *f, const char *line, size_t octets)
{
	for (size_t i = 0; i < octets && i < LINE_MAX_OCTETS; i++)
		fputc((line[i] < ' ' && line[i] != '\t') || line[i] > '~' ? '?' : line[i], f);
	fputs("\r\n", f);
}

// The header only: the body may be large, private or hostile, and the sender has it.
static void put_original(FILE *f, struct slice in)
{
	const char *at = (const char *)in.at, *end = at + in.len;

	fputs("Content-Type: text/rfc822-headers\r\n\r\n", f);
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		size_t n = lf != NULL ? (size_t)(lf - at) : (size_t)(end - at);

		if (n > 0 && at[n - 1] == '\r')
			n--;
		if (n == 0)
			break;
		put_line(f, at, n);
		at = lf != NULL ? lf + 1 : end;
	}
	fputs("\r\n", f);
}

char *dsn_write(const struct dsn *dsn, size_t *octets)
{
	char boundary[40], *text = NULL;
	FILE *f = open_memstream(&text, octets);

	assert(f != NULL);
	snprintf(boundary, sizeof(boundary), "=_postern_%016" PRIx64, dsn->random);
	put_header(f, dsn, boundary);
	fprintf(f, "--%s\r\n", boundary);
	put_notice(f, dsn);
	fprintf(f, "--%s\r\n", boundary);
	put_status(f, dsn);
	fprintf(f, "--%s\r\n", boundary);
	put_original(f, dsn->header);
	fprintf(f, "--%s--\r\n", boundary);
	fclose(f);
	return text;
}

#include "smtp/smtp_received.h"

#include <string.h>

#include "base/limits.h"
#include "smtp/smtp_command.h"

enum {
	ACCOUNT_OCTETS = 128,
	TLS_OCTETS = 64, // twice that when each is escaped
	QUEUE_ID_OCTETS = 64,
};

static const int64_t day_s = 86400, last_s = 253402300799; // end of the year 9999

// The header while it is built. What does not fit is left out, and fits says so.
struct header {
	uint8_t at[SMTP_RECEIVED_MAX_OCTETS];
	uint32_t len;
	bool fits;
};

struct date {
	int64_t year;
	unsigned month, day; // from 1
};

static void put_octet(struct header *h, uint8_t c)
{
	if (h->len == sizeof(h->at)) {
		h->fits = false;
		return;
	}
	h->at[h->len++] = c;
}

static void put_text(struct header *h, const char *text)
{
	for (size_t i = 0; text[i] != '\0'; i++)
		put_octet(h, (uint8_t)text[i]);
}

static struct slice slice_of(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

static void put_name(struct header *h, struct slice name)
{
	if (name.len == 0) {
		put_text(h, "unknown");
		return;
	}
	for (size_t i = 0; i < name.len && i < LIMIT_DOMAIN_OCTETS; i++)
		put_octet(h, smtp_command_is_name_octet(name.at[i]) ? name.at[i] : '?');
}

// Into a comment (RFC 5322 3.2.2): parentheses and backslash escaped, nothing that could end the line.
static void put_comment(struct header *h, struct slice text, size_t most)
{
	for (size_t i = 0; i < text.len && i < most; i++) {
		uint8_t c = text.at[i];

		if (c == '(' || c == ')' || c == '\\')
			put_octet(h, '\\');
		put_octet(h, c >= ' ' && c <= '~' ? c : '?');
	}
}

static void put_printable(struct header *h, struct slice text, size_t most)
{
	for (size_t i = 0; i < text.len && i < most; i++)
		put_octet(h, text.at[i] >= ' ' && text.at[i] <= '~' ? text.at[i] : '?');
}

static void put_number(struct header *h, unsigned n, unsigned digits)
{
	unsigned unit = 1;

	for (unsigned i = 1; i < digits; i++)
		unit *= 10;
	for (; unit > 0; unit /= 10)
		put_octet(h, (uint8_t)('0' + n / unit % 10));
}

// 1 in a leap year.
static unsigned leap_days(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 1 : 0;
}

// Days since 1970-01-01 to a date; days are not negative. gmtime_r() takes a lock in libc, so it is not for an lcore.
static struct date date_of(int64_t days)
{
	static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct date d = {1970 + days / 146097 * 400, 1, 1}; // whole cycles of 400 years first
	unsigned left = (unsigned)(days % 146097);

	for (; left >= 365u + leap_days(d.year); d.year++)
		left -= 365u + leap_days(d.year);
	for (;; d.month++) {
		unsigned len = month_days[d.month - 1] + (d.month == 2 ? leap_days(d.year) : 0);

		if (left < len)
			break;
		left -= len;
	}
	d.day = left + 1;
	return d;
}

// RFC 5322 3.3: "Tue, 24 Nov 2026 08:00:00 +0000".
static void put_date(struct header *h, int64_t unix_s)
{
	static const char weekdays[] = "Thu, Fri, Sat, Sun, Mon, Tue, Wed, ";
	static const char months[] = " Jan  Feb  Mar  Apr  May  Jun  Jul  Aug  Sep  Oct  Nov  Dec ";
	int64_t s = unix_s < 0 ? 0 : unix_s > last_s ? last_s : unix_s;
	struct date d = date_of(s / day_s);
	unsigned of_day = (unsigned)(s % day_s);

	for (size_t i = 0; i < 5; i++)
		put_octet(h, (uint8_t)weekdays[(size_t)(s / day_s % 7) * 5 + i]);
	put_number(h, d.day, d.day < 10 ? 1 : 2);
	for (size_t i = 0; i < 5; i++)
		put_octet(h, (uint8_t)months[(size_t)(d.month - 1) * 5 + i]);
	put_number(h, (unsigned)d.year, 4);
	put_octet(h, ' ');
	put_number(h, of_day / 3600, 2);
	put_octet(h, ':');
	put_number(h, of_day / 60 % 60, 2);
	put_octet(h, ':');
	put_number(h, of_day % 60, 2);
	put_text(h, " +0000\r\n");
}

static void put_from(struct header *h, const struct smtp_received *r)
{
	char ip[IP_ADDR_TEXT_MAX];

	put_text(h, "Received: from ");
	put_name(h, r->helo);
	put_text(h, " (");
	put_name(h, r->client_name);
	put_text(h, ip_addr_is_v4(&r->client) ? " [" : " [IPv6:");
	put_text(h, ip_addr_print(&r->client, ip));
	put_text(h, "])\r\n");
}

// RFC 3848: the S says that it came through TLS, the A that the client logged in.
static const char *with_text(const struct smtp_received *r)
{
	const bool known = r->account.len > 0, tls = r->tls_version != NULL;

	if (!r->esmtp)
		return ") with SMTP id ";
	if (tls)
		return known ? ") with ESMTPSA id " : ") with ESMTPS id ";
	return known ? ") with ESMTPA id " : ") with ESMTP id ";
}

static void put_tls(struct header *h, const struct smtp_received *r)
{
	if (r->tls_version == NULL)
		return;
	put_text(h, "\r\n\t(using ");
	put_comment(h, slice_of(r->tls_version), TLS_OCTETS);
	put_text(h, " with cipher ");
	put_comment(h, slice_of(r->tls_cipher), TLS_OCTETS);
	put_text(h, ")");
}

static void put_by(struct header *h, const struct smtp_received *r)
{
	bool known = r->account.len > 0;

	put_text(h, "\tby ");
	put_name(h, slice_of(r->fqdn));
	put_text(h, " (Postern, vserver ");
	put_comment(h, slice_of(r->vserver), LIMIT_NAME_OCTETS);
	put_text(h, with_text(r));
	put_printable(h, slice_of(r->queue_id), QUEUE_ID_OCTETS);
	if (known) {
		put_text(h, "\r\n\t(authenticated ");
		put_comment(h, r->account, ACCOUNT_OCTETS);
		put_text(h, ")");
	}
	put_tls(h, r);
}

static void put_for(struct header *h, const struct smtp_received *r)
{
	// Naming one of several would tell each of them about another (RFC 5321 7.6).
	if (r->only_rcpt.len > 0) {
		put_text(h, "\r\n\tfor <");
		put_printable(h, r->only_rcpt, LIMIT_PATH_OCTETS);
		put_text(h, ">");
	}
	put_text(h, ";\r\n\t");
}

bool smtp_received_write(struct smtp_out *out, const struct smtp_received *r)
{
	struct header h;

	h.len = 0; // not the octets: they are two kilobytes
	h.fits = true;
	put_from(&h, r);
	put_by(&h, r);
	put_for(&h, r);
	put_date(&h, r->unix_s);
	if (!h.fits || out->cap - out->len < h.len)
		return false;
	memcpy(out->at + out->len, h.at, h.len);
	out->len += h.len;
	return true;
}

// Target functions: smtp_session_step, smtp_session_verdict and everything below them
//
// Checked here, not only crashes: the octets whole and in pieces give the same replies and the same mail; replies are lines of
// a code and printable text; committed mail has CRLF line ends only; every block is given back (owner_free()).
//
// The first octets of the input choose how it is cut, how much room and how many blocks there are, and where it begins.

#include "tests/smtp_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct plan {
	size_t piece; // 0: growing pieces
	uint32_t room, blocks;
	bool in_body; // begin behind DATA
};

static const char opening[] =
	"EHLO x\r\nMAIL FROM:<a@foreign.example>\r\nRCPT TO:<b@neulan.net>\r\nDATA\r\n";

static void run(struct owner *o, const struct plan *plan, const uint8_t *at, size_t len)
{
	size_t piece = plan->piece;

	owner_init(o, plan->room, plan->blocks);
	o->service.tls = plan->blocks % 2 == 0;
	if (plan->in_body)
		owner_feed_text(o, opening);
	for (size_t done = 0; done < len;) {
		size_t n = plan->piece == 0 ? ++piece : piece;

		n = n < len - done ? n : len - done;
		owner_feed(o, at + done, n);
		done += n;
	}
}

// Replies are lines of a code, a space or hyphen, and printable text, of at most 512 octets.
static void check_replies(const struct owner_text *said)
{
	size_t start = 0;

	for (size_t i = 0; i < said->len; i++) {
		uint8_t c = said->at[i];
		size_t column = i - start;

		if (column < 3 && (c < '0' || c > '9'))
			abort();
		if (column == 3 && c != ' ' && c != '-')
			abort();
		if (c == '\n' && (column < 5 || said->at[i - 1] != '\r' || column > 511))
			abort();
		if (c != '\r' && c != '\n' && (c < ' ' || c > '~'))
			abort();
		if (c == '\n')
			start = i + 1;
	}
	if (start != said->len)
		abort();
}

static void check_mail(const struct owner_text *mail)
{
	for (size_t i = 0; i < mail->len; i++) {
		uint8_t c = mail->at[i];

		if (c == '\0')
			abort();
		if (c == '\n' && (i == 0 || mail->at[i - 1] != '\r'))
			abort();
		if (c == '\r' && (i + 1 == mail->len || mail->at[i + 1] != '\n'))
			abort();
	}
}

static void check_counts(const struct owner *o)
{
	if (o->begun != o->committed + o->aborted + (o->open ? 1 : 0))
		abort();
	if (o->open != (o->s.state == SMTP_ST_BODY && o->s.txn->body_verdict == SMTP_REPLY_NONE))
		abort();
	if (o->body.len > o->service.limits.message_octets)
		abort();
}

static void check_same(const struct owner_text *a, const struct owner_text *b)
{
	if (a->len != b->len || memcmp(a->at, b->at, a->len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct owner whole, pieces;
	struct plan plan, at_once;

	if (size < 3)
		return 0;
	plan = (struct plan){data[0] % 80, 1 + data[1] % 100, 1 + data[2] % 16, data[2] >= 128};
	at_once = (struct plan){size, 4096, plan.blocks, plan.in_body};
	run(&whole, &at_once, data + 3, size - 3);
	run(&pieces, &plan, data + 3, size - 3);
	check_replies(&whole.said);
	check_mail(&whole.mail);
	check_counts(&whole);
	check_counts(&pieces);
	check_same(&whole.said, &pieces.said);
	check_same(&whole.mail, &pieces.mail);
	if (whole.s.state != pieces.s.state || whole.closed != pieces.closed)
		abort();
	owner_free(&whole);
	owner_free(&pieces);
	return 0;
}

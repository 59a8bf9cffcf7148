#include "dataplane/mail.h"

#include <assert.h>
#include <rte_ring_elem.h>
#include <string.h>

#include "smtp/smtp_received.h"
#include "spool/envelope.h"
#include "spool/message_id.h"

enum { RECLAIM_STEP = 256 };

void mail_give_back(struct worker *w, struct spool_buf *chain)
{
	while (chain != NULL) {
		struct spool_buf *next = chain->next;

		assert(chain->home == w->index);
		chain->next = w->free_bufs;
		w->free_bufs = chain;
		w->free_buf_count++;
		chain = next;
	}
}

static void put(struct worker *w, const struct conn *c, struct spool_request *r)
{
	r->home = (uint16_t)w->index;
	r->conn = tcp_conn_index(c->tcp);
	r->generation = tcp_conn_generation(c->tcp);
	r->message_id = c->message_id;
	r->epoch = c->epoch;
	// The ring has a place for every buffer and every connection's abort (worker_make).
	int full = rte_ring_sp_enqueue_elem(w->requests, r, sizeof(*r));

	assert(full == 0);
	(void)full;
}

static void put_chunk(struct worker *w, struct conn *c)
{
	struct spool_request r = {.kind = SPOOL_PUT_CHUNK, .buf = c->body};

	c->stored_octets += c->body->octets;
	c->body = NULL;
	put(w, c, &r);
}

static bool is_short(const struct worker *w)
{
	return w->free_buf_count < w->common->spool_bufs / 8;
}

// A body that pauses need not hold a buffer: what is in it goes to the spooler, whence it comes back.
static void release_body(struct worker *w, struct conn *c)
{
	if (c->closing || !c->message_open || c->body == NULL)
		return;
	if (c->body->octets != 0) {
		put_chunk(w, c);
		return;
	}
	mail_give_back(w, c->body);
	c->body = NULL;
}

// Else as many silent senders as there are buffers would keep everybody from sending. Whoever takes a buffer has none.
static void reclaim(struct worker *w)
{
	for (int i = 0; i < RECLAIM_STEP; i++) {
		struct tcp_conn *tcp = tcp_conn_next(w->tcp, &w->reclaim_cursor);

		if (tcp == NULL) {
			w->reclaim_cursor = 0;
			return;
		}
		release_body(w, tcp_conn_app(tcp));
	}
}

static struct spool_buf *take_buf(void *worker)
{
	struct worker *w = worker;
	struct spool_buf *buf;

	if (is_short(w))
		reclaim(w);
	buf = w->free_bufs;
	if (buf == NULL)
		return NULL;
	w->free_bufs = buf->next;
	w->free_buf_count--;
	buf->next = NULL;
	buf->octets = 0;
	return buf;
}

// ---- Beginning

static bool write_received(struct worker *w, struct conn *c, struct spool_buf *buf)
{
	const struct smtp_transaction *txn = c->smtp.txn;
	struct smtp_out out = {buf->data, 0, LIMIT_SPOOL_BUF_OCTETS};
	struct smtp_rcpt_cursor cursor = {0};
	char id[MESSAGE_ID_TEXT_MAX];
	uint16_t port;
	struct smtp_received r = {.helo = smtp_session_helo(&c->smtp),
		.client = *tcp_conn_peer(c->tcp, &port),
		.fqdn = w->policy->services[c->vserver].fqdn,
		.vserver = w->policy->snapshot->vservers[c->vserver].config->name,
		.queue_id = message_id_print(c->message_id, id),
		.esmtp = c->smtp.esmtp,
		.unix_s = w->wall_us / 1000000};

	if (txn->rcpt_count == 1)
		(void)smtp_session_next_rcpt(txn, &cursor, &r.only_rcpt);
	if (!smtp_received_write(&out, &r))
		return false;
	buf->octets = out.len;
	return true;
}

bool mail_begin(struct worker *w, struct conn *c)
{
	struct spool_buf *buf = take_buf(w);

	assert(!c->message_open && c->body == NULL);
	if (buf == NULL)
		return false;
	c->message_id = message_id_make(w->common->boot, w->index, ++w->next_message);
	if (!write_received(w, c, buf)) {
		mail_give_back(w, buf);
		return false;
	}
	c->body = buf;
	c->message_open = true;
	c->stored_octets = 0;
	mail_added(w, c);
	return true;
}

// ---- Body

bool mail_room(struct worker *w, struct conn *c)
{
	if (c->body == NULL)
		c->body = take_buf(w);
	return c->body != NULL;
}

void mail_added(struct worker *w, struct conn *c)
{
	if (c->message_open && c->body != NULL && c->body->octets != 0 &&
		(c->body->octets == LIMIT_SPOOL_BUF_OCTETS || is_short(w)))
		put_chunk(w, c);
}

// ---- End

static struct slice text(const char *s)
{
	return (struct slice){(const uint8_t *)s, strlen(s)};
}

static enum err put_string(struct envelope_writer *e, struct slice s)
{
	return envelope_put(e, s.at, (uint16_t)s.len);
}

static enum err write_envelope(struct worker *w, struct conn *c, struct envelope_writer *e)
{
	const struct smtp_transaction *txn = c->smtp.txn;
	struct smtp_rcpt_cursor cursor = {0};
	struct slice rcpt;
	char client[IP_ADDR_TEXT_MAX];
	uint16_t port;

	envelope_begin(e, take_buf, w);
	TRY(put_string(e, (struct slice){txn->sender.text, txn->sender.len}));
	TRY(put_string(e, text(w->policy->snapshot->vservers[c->vserver].config->name)));
	TRY(put_string(e, text(w->policy->services[c->vserver].fqdn)));
	TRY(put_string(e, text(ip_addr_print(tcp_conn_peer(c->tcp, &port), client))));
	TRY(put_string(e, smtp_session_helo(&c->smtp)));
	TRY(put_string(e, (struct slice){0})); // account
	while (smtp_session_next_rcpt(txn, &cursor, &rcpt))
		TRY(envelope_put_rcpt(e, rcpt.at, (uint16_t)rcpt.len));
	return ERR_OK;
}

bool mail_commit(struct worker *w, struct conn *c)
{
	struct spool_request r = {.kind = SPOOL_PUT_COMMIT,
		.rcpt_count = c->smtp.txn->rcpt_count,
		.flags = c->smtp.txn->body_8bit ? SPOOL_COMMIT_8BIT : 0};
	struct envelope_writer e;

	assert(c->message_open);
	if (c->body != NULL && c->body->octets != 0)
		put_chunk(w, c);
	if (c->body != NULL)
		mail_give_back(w, c->body);
	c->body = NULL;
	if (write_envelope(w, c, &e) != ERR_OK) {
		mail_give_back(w, e.first);
		return false;
	}
	r.buf = e.first;
	r.body_octets = c->stored_octets; // the spooler counts as well
	put(w, c, &r);
	w->commits_owed++;
	return true;
}

void mail_abort(struct worker *w, struct conn *c)
{
	struct spool_request r = {.kind = SPOOL_PUT_ABORT};
	// In COMMIT the message belongs to the spooler: it may be durable already and stays.
	bool committed = c->smtp.state == SMTP_ST_COMMIT && !c->commit_wanted;

	if (c->body != NULL)
		mail_give_back(w, c->body);
	c->body = NULL;
	if (c->message_open && !committed)
		put(w, c, &r);
	c->message_open = false;
	c->commit_wanted = false;
}

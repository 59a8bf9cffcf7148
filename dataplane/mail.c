#include "dataplane/mail.h"

#include <assert.h>
#include <rte_ring_elem.h>
#include <string.h>

#include "dataplane/conn_name.h"
#include "dataplane/conn_tls.h"
#include "smtp/smtp_received.h"
#include "spool/envelope.h"
#include "spool/message_id.h"

enum { RECLAIM_STEP = 64 };

_Static_assert(sizeof(struct mail) <= SMTP_TRANSACTION_OWNER_OCTETS, "it lies in the transaction");

// ---- Who holds a buffer, who waits for one

static struct mail_list *list_of(struct worker *w, uint8_t place)
{
	return place == MAIL_HOLDING ? &w->holding : &w->stalled;
}

static void leave(struct worker *w, struct mail *m)
{
	struct mail_list *list = list_of(w, m->place);

	if (m->place == MAIL_NOWHERE)
		return;
	*(m->buf_prev != NULL ? &m->buf_prev->buf_next : &list->first) = m->buf_next;
	*(m->buf_next != NULL ? &m->buf_next->buf_prev : &list->last) = m->buf_prev;
	m->place = MAIL_NOWHERE;
	list->count--;
}

static void enter(struct worker *w, struct mail *m, enum mail_place place)
{
	struct mail_list *list = list_of(w, (uint8_t)place);

	leave(w, m);
	m->place = (uint8_t)place;
	m->buf_prev = list->last;
	m->buf_next = NULL;
	*(list->last != NULL ? &list->last->buf_next : &list->first) = m;
	list->last = m;
	list->count++;
}

// ---- All whose octets come in

static void join(struct worker *w, struct mail *m)
{
	m->coming = true;
	m->prev = w->coming.last;
	m->next = NULL;
	*(w->coming.last != NULL ? &w->coming.last->next : &w->coming.first) = m;
	w->coming.last = m;
	w->coming.count++;
}

static void part(struct worker *w, struct mail *m)
{
	if (!m->coming)
		return;
	m->coming = false;
	w->offered -= m->offered;
	m->offered = 0;
	*(m->prev != NULL ? &m->prev->next : &w->coming.first) = m->next;
	*(m->next != NULL ? &m->next->prev : &w->coming.last) = m->prev;
	w->coming.count--;
}

void mail_rotate(struct worker *w)
{
	struct mail *m = w->coming.first;
	const uint32_t offered = m->offered;

	part(w, m);
	join(w, m);
	m->offered = offered;
	w->offered += offered;
}

void mail_stall(struct worker *w, struct conn *c)
{
	assert(mail_of(c)->body == NULL);
	enter(w, mail_of(c), MAIL_STALLED);
}

void mail_unstall(struct worker *w, struct conn *c)
{
	assert(mail_is_stalled(c));
	leave(w, mail_of(c));
}

// ---- Buffers

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

static void put(struct worker *w, const struct mail *m, struct spool_request *r)
{
	struct tcp_conn *tcp = conn_tcp(m->conn);

	r->home = (uint16_t)w->index;
	r->conn = tcp_conn_index(tcp);
	r->generation = tcp_conn_generation(tcp);
	r->message_id = m->id;
	r->epoch = m->conn->epoch;
	// The ring has a place for each (mail_requests_most).
	int full = rte_ring_sp_enqueue_elem(w->requests, r, sizeof(*r));

	assert(full == 0);
	(void)full;
}

static uint32_t open_most(const struct worker_common *common)
{
	return common->conns < LIMIT_SPOOL_OPEN ? common->conns : LIMIT_SPOOL_OPEN;
}

// Chunks and commits carry a buffer each. So did the chunk before an abort; it comes back only after what was put before it, so
// either it is still under way, or the message was open when the oldest abort that is under way was put.
uint32_t mail_requests_most(const struct worker_common *common)
{
	return 2 * common->spool_bufs + open_most(common) + 1;
}

// Buffers are scarce, and it is the senders who hold them: when they are on their way to the disk, more of them, filled in part,
// would only make that way longer.
static bool is_held_up(const struct worker *w)
{
	return w->free_buf_count < w->common->spool_bufs / 8 &&
	       w->holding.count > w->common->spool_bufs / 2;
}

static void hold(struct worker *w, struct mail *m, struct spool_buf *buf)
{
	m->body = buf;
	enter(w, m, MAIL_HOLDING);
}

// What is in the buffer goes to the spooler, whence it comes back; an empty one comes back at once.
static void let_go(struct worker *w, struct mail *m)
{
	struct spool_request r = {.kind = SPOOL_PUT_CHUNK, .buf = m->body};

	if (m->body == NULL)
		return;
	leave(w, m);
	m->body = NULL;
	if (r.buf->octets == 0) {
		mail_give_back(w, r.buf);
		return;
	}
	m->stored_octets += r.buf->octets;
	put(w, m, &r);
}

static void discard(struct worker *w, struct mail *m)
{
	if (m->body != NULL)
		m->body->octets = 0;
	let_go(w, m);
}

// A body that pauses need not hold a buffer; else as many silent senders as there are buffers would keep everybody from
// sending. Those that took theirs first go first; whoever takes a buffer has none.
static void reclaim(struct worker *w)
{
	for (int i = 0; i < RECLAIM_STEP && w->holding.first != NULL; i++)
		let_go(w, w->holding.first);
}

static struct spool_buf *take_buf(void *worker)
{
	struct worker *w = worker;
	struct spool_buf *buf;

	if (is_held_up(w))
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
	struct tls_facts tls = conn_tls_facts(w, c);
	uint16_t port;
	struct smtp_received r = {.client_name = conn_name_confirmed(w, c),
		.helo = smtp_session_helo(&c->smtp),
		.client = *tcp_conn_peer(conn_tcp(c), &port),
		.fqdn = w->policy->services[c->vserver].fqdn,
		.vserver = w->policy->snapshot->vservers[c->vserver].config->name,
		.queue_id = message_id_print(mail_of(c)->id, id),
		.tls_version = tls.version,
		.tls_cipher = tls.cipher,
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
	struct mail *m = mail_of(c);
	struct spool_buf *buf;

	assert(!m->open && m->body == NULL);
	if (w->coming.count >= open_most(w->common))
		return false;
	buf = take_buf(w);
	if (buf == NULL)
		return false;
	*m = (struct mail){
		.conn = c, .id = message_id_make(w->common->boot, w->index, ++w->next_message)};
	if (!write_received(w, c, buf)) {
		mail_give_back(w, buf);
		return false;
	}
	m->open = true;
	join(w, m);
	hold(w, m, buf);
	return true;
}

// ---- Body

bool mail_room(struct worker *w, struct conn *c)
{
	struct mail *m = mail_of(c);
	struct spool_buf *buf;

	if (m->body != NULL)
		return true;
	buf = take_buf(w);
	if (buf == NULL)
		return false;
	hold(w, m, buf);
	return true;
}

struct smtp_out mail_space(const struct conn *c)
{
	const struct spool_buf *body = c->smtp.txn != NULL ? mail_of(c)->body : NULL;

	if (body == NULL)
		return (struct smtp_out){0};
	return (struct smtp_out){mail_of(c)->body->data, body->octets, LIMIT_SPOOL_BUF_OCTETS};
}

void mail_added(struct worker *w, struct conn *c, const struct smtp_out *body)
{
	struct mail *m;

	if (c->smtp.txn == NULL || mail_of(c)->body == NULL)
		return;
	m = mail_of(c);
	m->body->octets = body->len;
	if (body->len == LIMIT_SPOOL_BUF_OCTETS)
		let_go(w, m);
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
	TRY(put_string(e, text(ip_addr_print(tcp_conn_peer(conn_tcp(c), &port), client))));
	TRY(put_string(e, smtp_session_helo(&c->smtp)));
	TRY(put_string(e, (struct slice){0})); // account
	while (smtp_session_next_rcpt(txn, &cursor, &rcpt))
		TRY(envelope_put_rcpt(e, rcpt.at, (uint16_t)rcpt.len));
	return ERR_OK;
}

bool mail_commit(struct worker *w, struct conn *c)
{
	struct mail *m = mail_of(c);
	struct spool_request r = {.kind = SPOOL_PUT_COMMIT,
		.rcpt_count = c->smtp.txn->rcpt_count,
		.flags = c->smtp.txn->body_8bit ? SPOOL_COMMIT_8BIT : 0};
	struct envelope_writer e;

	assert(m->open);
	let_go(w, m);
	if (write_envelope(w, c, &e) != ERR_OK) {
		mail_give_back(w, e.first);
		return false;
	}
	r.buf = e.first;
	part(w, m);
	r.body_octets = m->stored_octets; // the spooler counts as well
	put(w, m, &r);
	return true;
}

void mail_end(struct worker *w, struct conn *c)
{
	(void)w;
	assert(mail_of(c)->place == MAIL_NOWHERE && !mail_of(c)->coming);
	mail_of(c)->open = false;
}

void mail_abort(struct worker *w, struct conn *c)
{
	struct spool_request r = {.kind = SPOOL_PUT_ABORT};
	struct mail *m;

	if (!mail_is_open(c))
		return;
	m = mail_of(c);
	// In COMMIT the message belongs to the spooler, unless it waits: it may be durable already and stays.
	bool committed = c->smtp.state == SMTP_ST_COMMIT && !mail_is_stalled(c);

	discard(w, m);
	leave(w, m);
	part(w, m);
	m->open = false;
	// Of a message without a chunk the spooler has never heard.
	if (!committed && m->stored_octets > 0)
		put(w, m, &r);
}

// smtp_owner.h - the owner of an SMTP session as tests play it: feeds octets in pieces, gives verdicts, and keeps what was said
// and what was committed, as text. Shared by unit tests and fuzzers.

#pragma once

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/block_pool.h"
#include "base/limits.h"
#include "smtp/smtp_session.h"

enum {
	OWNER_BLOCKS = 64,
	OWNER_TEXT = 1 << 18, // octets of each text
};

struct owner_text {
	uint8_t *at;
	size_t len;
};

struct owner {
	struct smtp_service service;
	struct smtp_session s;
	struct block_pool pool;
	void *memory;
	struct owner_text unread, said, body,
		mail;  // body: of the message that is coming in; mail: what was committed
	uint32_t room; // body octets a step may hand over
	unsigned begun, aborted, committed;
	bool open, closed; // open: a message was begun and is neither committed nor forgotten
	enum smtp_need last_need;
	struct smtp_io last_io;
};

static inline void owner_add(struct owner_text *t, const void *at, size_t len)
{
	if (t->len + len > OWNER_TEXT)
		abort();
	if (len > 0)
		memcpy(t->at + t->len, at, len);
	t->len += len;
}

// Texts are large, and a fuzzer makes many: they are used again.
static uint8_t *owner_stash[16];
static unsigned owner_stashed;

static inline uint8_t *owner_text_take(void)
{
	return owner_stashed > 0 ? owner_stash[--owner_stashed] : malloc(OWNER_TEXT);
}

static inline void owner_text_give(uint8_t *at)
{
	if (owner_stashed == sizeof(owner_stash) / sizeof(owner_stash[0]))
		free(at);
	else
		owner_stash[owner_stashed++] = at;
}

static inline void owner_init(struct owner *o, uint32_t room, uint32_t blocks)
{
	*o = (struct owner){.service = {"mx.neulan.net", {1000, 3, 4, 2}, false}, .room = room};
	o->memory = aligned_alloc(64, (size_t)blocks * LIMIT_BLOCK_OCTETS);
	o->unread.at = owner_text_take();
	o->said.at = owner_text_take();
	o->body.at = owner_text_take();
	o->mail.at = owner_text_take();
	block_pool_init(&o->pool, o->memory, blocks);
	smtp_session_init(&o->s);
}

static inline void owner_free(struct owner *o)
{
	smtp_session_free(&o->s, &o->pool);
	if (o->pool.free_count != o->pool.count)
		abort(); // a block was lost
	free(o->memory);
	owner_text_give(o->unread.at);
	owner_text_give(o->said.at);
	owner_text_give(o->body.at);
	owner_text_give(o->mail.at);
}

static inline void owner_print(struct owner_text *t, const char *key, struct slice value)
{
	owner_add(t, key, strlen(key));
	owner_add(t, value.at, value.len);
	owner_add(t, "\r\n", 2);
}

static inline void owner_commit(struct owner *o)
{
	struct smtp_rcpt_cursor cursor = {0};
	struct slice rcpt;

	owner_print(&o->mail, "from ", (struct slice){o->s.txn->sender.text, o->s.txn->sender.len});
	while (smtp_session_next_rcpt(o->s.txn, &cursor, &rcpt))
		owner_print(&o->mail, "to ", rcpt);
	assert(o->body.len == o->s.txn->body_octets);
	owner_add(&o->mail, o->body.at, o->body.len);
	o->body.len = 0;
	o->committed++;
	o->open = false;
}

static inline bool owner_is(const uint8_t *at, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(at, text, len) == 0;
}

static inline enum smtp_reply owner_judge_rcpt(const struct smtp_path *p)
{
	const uint8_t *domain = p->text + p->domain_at;

	if (owner_is(domain, p->domain_len, "defer.example"))
		return SMTP_REPLY_DEFER_LOOKUP;
	if (!owner_is(domain, p->domain_len, "neulan.net") && p->domain_len > 0)
		return SMTP_REPLY_RELAY_DENIED;
	return owner_is(p->text, p->local_len, "nobody") ? SMTP_REPLY_NO_SUCH_USER
							 : SMTP_REPLY_RCPT_OK;
}

static inline struct smtp_io owner_io(struct owner *o, uint8_t *reply)
{
	struct smtp_io io = {.service = &o->service,
		.blocks = &o->pool,
		.reply = {reply, 0, SMTP_REPLY_MAX_OCTETS}};

	if (o->open)
		io.body = (struct smtp_out){
			o->body.at, (uint32_t)o->body.len, (uint32_t)o->body.len + o->room};
	return io;
}

static inline void owner_heard(struct owner *o, const struct smtp_io *io)
{
	owner_add(&o->said, io->reply.at, io->reply.len);
	if (o->open && o->body.len > io->body.len)
		abort(); // octets were taken back
	if (o->open)
		o->body.len = io->body.len;
	o->last_io = *io;
}

static inline struct smtp_step owner_verdict(
	struct owner *o, enum smtp_reply reply, const char *arg)
{
	uint8_t room[SMTP_REPLY_MAX_OCTETS];
	struct smtp_io io = owner_io(o, room);
	struct smtp_step step = smtp_session_verdict(
		&o->s, reply, (struct slice){(const uint8_t *)arg, strlen(arg)}, &io);

	owner_heard(o, &io);
	return step;
}

static inline struct smtp_step owner_begin(struct owner *o)
{
	struct smtp_step step = owner_verdict(o, SMTP_REPLY_DATA, "");

	o->open = true;
	o->begun++;
	o->body.len = 0;
	return step;
}

static inline enum smtp_reply owner_judge_mail(const struct owner *o)
{
	const struct smtp_path *p = &o->s.txn->sender;

	return owner_is(p->text, p->len, "late@foreign.example") ? SMTP_REPLY_DEFER_STORE
								 : SMTP_REPLY_MAIL_OK;
}

static inline struct smtp_step owner_do(struct owner *o, struct smtp_step step)
{
	switch (step.need) {
	case SMTP_NEED_TLS:
		return owner_verdict(o, SMTP_REPLY_TLS_READY, "");
	case SMTP_NEED_MAIL:
		return owner_verdict(o, owner_judge_mail(o), "");
	case SMTP_NEED_RCPT:
		return owner_verdict(o, owner_judge_rcpt(&o->s.txn->candidate), "");
	case SMTP_NEED_DATA:
		return owner_begin(o);
	case SMTP_NEED_COMMIT:
		if (!o->open)
			abort();
		owner_commit(o);
		return owner_verdict(o, SMTP_REPLY_QUEUED, "id1");
	case SMTP_NEED_ABORT:
		if (!o->open)
			abort(); // twice, or without a message
		o->open = false;
		o->body.len = 0;
		o->aborted++;
		return (struct smtp_step){.need = SMTP_NEED_AGAIN};
	case SMTP_NEED_CLOSE:
		o->closed = true;
		return step;
	case SMTP_NEED_INPUT:
	case SMTP_NEED_AGAIN:
	case SMTP_NEED_BODY:
		return step;
	}
	abort();
}

static inline bool owner_is_settled(enum smtp_need need)
{
	return need == SMTP_NEED_INPUT || need == SMTP_NEED_AGAIN || need == SMTP_NEED_BODY ||
	       need == SMTP_NEED_CLOSE;
}

// One step, and what it asks for.
static inline size_t owner_step(struct owner *o, struct slice in)
{
	uint8_t room[SMTP_REPLY_MAX_OCTETS];
	struct smtp_io io = owner_io(o, room);
	struct smtp_step step = smtp_session_step(&o->s, in, &io);
	size_t consumed = step.consumed;

	if (consumed > in.len)
		abort();
	owner_heard(o, &io);
	while (!owner_is_settled(step.need))
		step = owner_do(o, step);
	if (step.need == SMTP_NEED_CLOSE)
		(void)owner_do(o, step);
	o->last_need = step.need;
	return consumed;
}

static inline void owner_feed(struct owner *o, const void *at, size_t len)
{
	size_t done = 0;

	owner_add(&o->unread, at, len);
	do {
		if (o->closed)
			return;
		done += owner_step(o, (struct slice){o->unread.at + done, o->unread.len - done});
	} while (o->last_need != SMTP_NEED_INPUT);
	memmove(o->unread.at, o->unread.at + done, o->unread.len - done);
	o->unread.len -= done;
}

static inline void owner_feed_text(struct owner *o, const char *text)
{
	owner_feed(o, text, strlen(text));
}

// What was said since the last call.
static inline const char *owner_said(struct owner *o)
{
	o->said.at[o->said.len] = '\0';
	o->said.len = 0;
	return (const char *)o->said.at;
}
